/// How a volume is cut into chunks, and in which pieces it passes through memory.
///
/// Axes are in the order of the volume's shape, X first. A voxel is `voxelBytes` bytes, its
/// channels included. A *slab* is a run of consecutive voxels of the volume that holds whole
/// chunks: all of the lower axes, and along `slabAxis` a whole number of chunks.
///
/// A *window* is a part of a volume that is read as if it were a volume: its grid is that of the
/// volume's chunks which it touches, and its first chunks may begin before it.
public struct ChunkGrid: Sendable {
  /// The longest chunk, in bytes decoded.
  public static let maximumChunkBytes = 64 << 20
  /// The most chunks in a volume.
  public static let maximumChunks = 4 << 20
  /// Slabs are made of several layers of chunks until they have about this many bytes.
  static let slabTarget = 4 << 20

  /// Voxels of the volume along each axis.
  public let shape: [Int]
  /// Voxels of a chunk along each axis.
  public let chunk: [Int]
  /// Bytes a voxel.
  public let voxelBytes: Int
  /// Chunks along each axis.
  public let counts: [Int]
  /// The axis along which slabs are cut.
  public let slabAxis: Int
  /// Voxels of a slab along `slabAxis` in whole chunks: the first and the last may have fewer.
  public let slabThickness: Int

  /// Voxels along the axes below each axis.
  let strides: [Int]
  /// Voxels of the first chunk that lie before the window, along each axis; 0 for a whole volume.
  let phase: [Int]
  /// Where the window's first chunk is among those of the volume, along each axis.
  private let origin: [Int]
  /// Chunks of the volume along each axis.
  private let wholeCounts: [Int]

  /// How slabs are cut.
  private enum Cut {
    /// Of a size that is good to pass on.
    case ordinary
    /// One layer of chunks along an axis.
    case layers(Int)
    /// All is one slab.
    case none
  }

  /// Makes the grid; nil where a chunk is too long or there are too many.
  ///
  /// - Parameters:
  ///   - shape: a shape that `VolumeHeader.defect` accepts.
  ///   - chunk: as many extents, each from 1 to that of `shape`.
  ///   - voxelBytes: bytes a voxel, all channels.
  public init?(shape: [Int], chunk: [Int], voxelBytes: Int) {
    self.init(
      shape: shape, chunk: chunk, voxelBytes: voxelBytes, start: shape.map { _ in 0 }, whole: shape,
      .ordinary)
  }

  /// As above; with slabs of one layer of chunks along `slabAxis`, and `phase` voxels of the first
  /// chunk before the shape, along each axis.
  init?(shape: [Int], chunk: [Int], voxelBytes: Int, slabAxis: Int, phase: [Int]) {
    self.init(
      shape: shape, chunk: chunk, voxelBytes: voxelBytes, start: phase,
      whole: zip(shape, phase).map(+), .layers(slabAxis))
  }

  /// A window of this volume's voxels.
  ///
  /// - Parameters:
  ///   - ranges: along each axis, not empty and within the shape.
  ///   - inOneSlab: whether it is one slab, whatever its size.
  /// - Returns: its grid, whose chunks are those of the volume that it touches.
  package func window(_ ranges: [Range<Int>], inOneSlab: Bool) -> ChunkGrid {
    precondition(
      ranges.count == shape.count
        && zip(ranges, shape).allSatisfy {
          !$0.isEmpty && $0.lowerBound >= 0 && $0.upperBound <= $1
        }
    )
    let grid = ChunkGrid(
      shape: ranges.map(\.count), chunk: chunk, voxelBytes: voxelBytes,
      start: ranges.map(\.lowerBound), whole: shape, inOneSlab ? .none : .ordinary)
    guard let grid else { preconditionFailure("a window has no more chunks than its volume") }
    return grid
  }

  /// The number in the volume of chunk `number` of this grid.
  package func chunkInVolume(_ number: Int) -> Int {
    if counts == wholeCounts { return number }
    var rest = number
    var result = 0
    var stride = 1
    for axis in counts.indices {
      result += (origin[axis] + rest % counts[axis]) * stride
      rest /= counts[axis]
      stride *= wholeCounts[axis]
    }
    return result
  }

  private init?(
    shape: [Int], chunk: [Int], voxelBytes: Int, start: [Int], whole: [Int], _ cut: Cut
  ) {
    precondition(shape.count == chunk.count && !shape.isEmpty)
    self.shape = shape
    self.chunk = chunk
    self.voxelBytes = voxelBytes
    phase = zip(start, chunk).map { $0 % $1 }
    origin = zip(start, chunk).map { $0 / $1 }
    // What the first chunks hold before the window counts, too.
    let span = zip(phase, shape).map(+)
    counts = zip(span, chunk).map { ($0 + $1 - 1) / $1 }
    wholeCounts = zip(whole, chunk).map { ($0 + $1 - 1) / $1 }
    var chunkBytes = voxelBytes
    for extent in chunk {
      let (product, overflow) = chunkBytes.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= Self.maximumChunkBytes else { return nil }
      chunkBytes = product
    }
    var total = 1
    for count in counts {
      let (product, overflow) = total.multipliedReportingOverflow(by: count)
      guard !overflow, product <= Self.maximumChunks else { return nil }
      total = product
    }
    var strides = [1]
    for extent in shape.dropLast() { strides.append(strides[strides.count - 1] * extent) }
    self.strides = strides

    // All along each axis, in whole chunks.
    let most = zip(counts, chunk).map(*)
    switch cut {
    case .layers(let axis):
      slabAxis = axis
      slabThickness = chunk[axis]
    case .none:
      slabAxis = shape.count - 1
      slabThickness = most[shape.count - 1]
    case .ordinary:
      var axis = chunk.lastIndex { $0 > 1 } ?? 0
      var thickness = chunk[axis]
      while strides[axis] * thickness * voxelBytes * 2 <= Self.slabTarget {
        if thickness < most[axis] {
          thickness = min(most[axis], thickness * 2)
        } else if axis + 1 < shape.count {
          axis += 1
          thickness = chunk[axis]
        } else {
          break
        }
      }
      slabAxis = axis
      slabThickness = thickness
    }
  }

  /// Bytes of a chunk when decoded.
  public var chunkBytes: Int { chunk.reduce(voxelBytes, *) }

  /// Number of chunks.
  public var chunkCount: Int { counts.reduce(1, *) }

  /// Bytes of the largest slab.
  public var maximumSlabBytes: Int {
    strides[slabAxis] * min(slabThickness, shape[slabAxis]) * voxelBytes
  }

  /// Number of slabs.
  public var slabCount: Int { slabsAlongAxis * shape[(slabAxis + 1)...].reduce(1, *) }

  private var slabsAlongAxis: Int {
    (phase[slabAxis] + shape[slabAxis] + slabThickness - 1) / slabThickness
  }

  /// The slab `number`, counted in the order of the voxels.
  public func slab(_ number: Int) -> SlabRegion {
    let along = number % slabsAlongAxis
    let above = number / slabsAlongAxis
    // In voxels from the beginning of the first chunk.
    let begin = max(phase[slabAxis], along * slabThickness)
    let end = min(phase[slabAxis] + shape[slabAxis], (along + 1) * slabThickness)
    let firstLayer = along * slabThickness / chunk[slabAxis]
    let layers = (end + chunk[slabAxis] - 1) / chunk[slabAxis] - firstLayer
    let layerChunks = counts[..<slabAxis].reduce(1, *)
    let firstChunk = (above * counts[slabAxis] + firstLayer) * layerChunks
    let thickness = end - begin
    return SlabRegion(
      thickness: thickness, phase: begin - along * slabThickness,
      bytes: strides[slabAxis] * thickness * voxelBytes,
      chunks: firstChunk..<firstChunk + layers * layerChunks)
  }

  /// The runs of bytes that chunk `index` of a slab and the slab have in common.
  ///
  /// - Parameters:
  ///   - index: the chunk's place in the slab, from 0, X fastest.
  ///   - thickness: the slab's, in voxels along `slabAxis`.
  ///   - phase: voxels of its first chunk before the slab, along `slabAxis`.
  /// - Returns: a walk that stands at the first run.
  func runs(ofChunk index: Int, thickness: Int, phase: Int) -> ChunkRuns {
    ChunkRuns(self, places(ofChunk: index, thickness: thickness, phase: phase))
  }

  /// Whether chunk `index` of a slab reaches past an edge of it.
  func isPartial(chunk index: Int, thickness: Int, phase: Int) -> Bool {
    places(ofChunk: index, thickness: thickness, phase: phase)
      .enumerated().contains { $0.element.count < chunk[$0.offset] }
  }

  /// What a chunk and its slab have in common along one axis, in voxels.
  fileprivate struct Place {
    var inChunk: Int
    var inSlab: Int
    var count: Int
  }

  private func places(ofChunk index: Int, thickness: Int, phase slabPhase: Int) -> [Place] {
    var rest = index
    return (0...slabAxis).map { axis in
      let extent = axis == slabAxis ? thickness : shape[axis]
      let phase = axis == slabAxis ? slabPhase : self.phase[axis]
      let count = (phase + extent + chunk[axis] - 1) / chunk[axis]
      let begin = rest % count * chunk[axis] - phase
      rest /= count
      let first = max(0, begin)
      return Place(
        inChunk: first - begin, inSlab: first, count: min(extent, begin + chunk[axis]) - first)
    }
  }
}

/// One slab of a volume.
public struct SlabRegion: Sendable {
  /// Voxels along the slab axis.
  public let thickness: Int
  /// Voxels of its first chunk before it, along the slab axis.
  let phase: Int
  /// Bytes of its voxels.
  public let bytes: Int
  /// The numbers of its chunks in the grid, X fastest.
  public let chunks: Range<Int>
}

/// Walks through the runs of bytes that a chunk and its slab have in common, many at a time.
struct ChunkRuns {
  /// Bytes of every run.
  let count: Int
  /// How many runs there are at each stop, each so many bytes after the one before.
  private(set) var rows = 1
  private(set) var chunkStride = 0
  private(set) var slabStride = 0
  /// Offset of the first of them in the chunk and in the slab, in bytes.
  private(set) var inChunk = 0
  private(set) var inSlab = 0

  // Along each axis above the rows': how many steps there are, how many were made, and what a
  // step means in bytes.
  private var steps: [(extent: Int, position: Int, chunkStride: Int, slabStride: Int)] = []

  fileprivate init(_ grid: ChunkGrid, _ places: [ChunkGrid.Place]) {
    var chunkStride = grid.voxelBytes
    for (axis, place) in places.enumerated() {
      inChunk += place.inChunk * chunkStride
      inSlab += place.inSlab * grid.strides[axis] * grid.voxelBytes
      chunkStride *= grid.chunk[axis]
    }
    // Leading axes that the chunk spans whole make one longer run.
    var first = 0
    var run = places[0].count
    chunkStride = grid.chunk[0]
    while first < grid.slabAxis, grid.chunk[first] == grid.shape[first], grid.phase[first] == 0 {
      first += 1
      run *= places[first].count
      chunkStride *= grid.chunk[first]
    }
    count = run * grid.voxelBytes
    var axis = first + 1
    if axis <= grid.slabAxis {
      rows = places[axis].count
      self.chunkStride = chunkStride * grid.voxelBytes
      slabStride = grid.strides[axis] * grid.voxelBytes
      chunkStride *= grid.chunk[axis]
      axis += 1
    }
    while axis <= grid.slabAxis {
      steps.append(
        (
          extent: places[axis].count, position: 0, chunkStride: chunkStride * grid.voxelBytes,
          slabStride: grid.strides[axis] * grid.voxelBytes
        ))
      chunkStride *= grid.chunk[axis]
      axis += 1
    }
  }

  /// Goes on to the next rows; false if there are none.
  mutating func advance() -> Bool {
    for axis in steps.indices {
      steps[axis].position += 1
      inChunk += steps[axis].chunkStride
      inSlab += steps[axis].slabStride
      if steps[axis].position < steps[axis].extent { return true }
      inChunk -= steps[axis].position * steps[axis].chunkStride
      inSlab -= steps[axis].position * steps[axis].slabStride
      steps[axis].position = 0
    }
    return false
  }
}

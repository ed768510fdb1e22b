/// How a volume is cut into chunks, and in which pieces it passes through memory.
///
/// Axes are in the order of the volume's shape, X first. A voxel is `voxelBytes` bytes, its
/// channels included. A *slab* is a run of consecutive voxels of the volume that holds whole
/// chunks: all of the lower axes, and along `slabAxis` a whole number of chunks.
///
/// A *window* is a part of a volume that is read as if it were a volume: its grid is that of the
/// volume's chunks which it touches, and its first chunks may begin before it. How many of their
/// voxels lie before it along an axis is its *lead*:
///
///     lead of X
///     |<----->|
///     +-----------+-----------+-----------+  --
///     |           |           |           |   | lead of Y
///     |       +=================+         |  --
///     |       |   |           | |         |
///     +-------|---+-----------|-+---------+     a window, and the six
///     |       |   |           | |         |     chunks of its grid
///     |       +=================+         |
///     |           |           |           |
///     +-----------+-----------+-----------+
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
  let lead: [Int]
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

  /// As above; with slabs of one layer of chunks along `slabAxis`, and `lead` voxels of the first
  /// chunk before the shape, along each axis.
  init?(shape: [Int], chunk: [Int], voxelBytes: Int, slabAxis: Int, lead: [Int]) {
    self.init(
      shape: shape, chunk: chunk, voxelBytes: voxelBytes, start: lead,
      whole: zip(shape, lead).map(+), .layers(slabAxis))
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
    lead = zip(start, chunk).map { $0 % $1 }
    origin = zip(start, chunk).map { $0 / $1 }
    // What the first chunks hold before the window counts, too.
    let span = zip(lead, shape).map(+)
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
    (lead[slabAxis] + shape[slabAxis] + slabThickness - 1) / slabThickness
  }

  /// The slab `number`, counted in the order of the voxels.
  public func slab(_ number: Int) -> SlabRegion {
    let along = number % slabsAlongAxis
    let above = number / slabsAlongAxis
    // In voxels from the beginning of the first chunk.
    let begin = max(lead[slabAxis], along * slabThickness)
    let end = min(lead[slabAxis] + shape[slabAxis], (along + 1) * slabThickness)
    let firstLayer = along * slabThickness / chunk[slabAxis]
    let layers = (end + chunk[slabAxis] - 1) / chunk[slabAxis] - firstLayer
    let layerChunks = counts[..<slabAxis].reduce(1, *)
    let firstChunk = (above * counts[slabAxis] + firstLayer) * layerChunks
    let thickness = end - begin
    return SlabRegion(
      thickness: thickness, lead: begin - along * slabThickness,
      bytes: strides[slabAxis] * thickness * voxelBytes,
      chunks: firstChunk..<firstChunk + layers * layerChunks)
  }

  /// The runs of bytes that a chunk and its slab have in common.
  ///
  /// - Parameters:
  ///   - index: the chunk's place in the slab, from 0, X fastest.
  ///   - slab: one of this grid's.
  /// - Returns: a walk that stands at the first run.
  func runs(ofChunk index: Int, of slab: SlabRegion) -> ChunkRuns {
    ChunkRuns(self, overlap(ofChunk: index, slab))
  }

  /// Whether chunk `index` of a slab reaches past an edge of it.
  func isPartial(chunk index: Int, of slab: SlabRegion) -> Bool {
    overlap(ofChunk: index, slab)
      .enumerated().contains { $0.element.count < chunk[$0.offset] }
  }

  /// What a chunk and its slab have in common along one axis, in voxels.
  struct Overlap {
    /// Where it begins in the chunk.
    var inChunk: Int
    /// Where it begins in the slab.
    var inSlab: Int
    var count: Int
  }

  /// The same along each axis of the slab.
  private func overlap(ofChunk index: Int, _ slab: SlabRegion) -> [Overlap] {
    var rest = index
    return (0...slabAxis).map { axis in
      let extent = axis == slabAxis ? slab.thickness : shape[axis]
      let lead = axis == slabAxis ? slab.lead : self.lead[axis]
      let count = (lead + extent + chunk[axis] - 1) / chunk[axis]
      let begin = rest % count * chunk[axis] - lead
      rest /= count
      let first = max(0, begin)
      return Overlap(
        inChunk: first - begin, inSlab: first, count: min(extent, begin + chunk[axis]) - first)
    }
  }
}

/// One slab of a volume.
public struct SlabRegion: Sendable {
  /// Voxels along the slab axis.
  public let thickness: Int
  /// Voxels of its first chunk that lie before it, along the slab axis.
  let lead: Int
  /// Bytes of its voxels.
  public let bytes: Int
  /// The numbers of its chunks in the grid, X fastest.
  public let chunks: Range<Int>
}

/// How a volume is cut into chunks, and in which pieces it passes through memory.
///
/// Axes are in the order of the volume's shape, X first. A voxel is `voxelBytes` bytes, its
/// channels included. A *slab* is a run of consecutive voxels of the volume that holds whole
/// chunks: all of the lower axes, and along `slabAxis` a whole number of chunks.
public struct ChunkGrid: Sendable {
  /// The longest chunk, in bytes decoded.
  public static let maximumChunkBytes = 128 << 20
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
  /// Voxels of a slab along `slabAxis`, but for the last.
  public let slabThickness: Int

  /// Voxels along the axes below each axis.
  let strides: [Int]

  /// Makes the grid; nil where a chunk is too long or there are too many.
  ///
  /// - Parameters:
  ///   - shape: a shape that `VolumeHeader.defect` accepts.
  ///   - chunk: as many extents, each from 1 to that of `shape`.
  ///   - voxelBytes: bytes a voxel, all channels.
  public init?(shape: [Int], chunk: [Int], voxelBytes: Int) {
    self.init(shape: shape, chunk: chunk, voxelBytes: voxelBytes, slabAxis: nil)
  }

  /// As above; with slabs of one layer of chunks along `slabAxis` if it is given.
  init?(shape: [Int], chunk: [Int], voxelBytes: Int, slabAxis: Int?) {
    precondition(shape.count == chunk.count && !shape.isEmpty)
    self.shape = shape
    self.chunk = chunk
    self.voxelBytes = voxelBytes
    counts = zip(shape, chunk).map { ($0 + $1 - 1) / $1 }
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

    var axis = slabAxis ?? chunk.lastIndex { $0 > 1 } ?? 0
    var thickness = chunk[axis]
    while slabAxis == nil, strides[axis] * thickness * voxelBytes * 2 <= Self.slabTarget {
      if thickness < shape[axis] {
        thickness = min(shape[axis], thickness * 2)
      } else if axis + 1 < shape.count {
        axis += 1
        thickness = 1
      } else {
        break
      }
    }
    self.slabAxis = axis
    slabThickness = thickness
  }

  /// Bytes of a chunk when decoded.
  public var chunkBytes: Int { chunk.reduce(voxelBytes, *) }

  /// Number of chunks.
  public var chunkCount: Int { counts.reduce(1, *) }

  /// Bytes of the largest slab.
  public var maximumSlabBytes: Int { strides[slabAxis] * slabThickness * voxelBytes }

  /// Number of slabs.
  public var slabCount: Int { slabsAlongAxis * shape[(slabAxis + 1)...].reduce(1, *) }

  private var slabsAlongAxis: Int { (shape[slabAxis] + slabThickness - 1) / slabThickness }

  /// The slab `number`, counted in the order of the voxels.
  public func slab(_ number: Int) -> SlabRegion {
    let along = number % slabsAlongAxis
    let above = number / slabsAlongAxis
    let start = along * slabThickness
    let thickness = min(slabThickness, shape[slabAxis] - start)
    let layers = (thickness + chunk[slabAxis] - 1) / chunk[slabAxis]
    let layerChunks = counts[..<slabAxis].reduce(1, *)
    let firstChunk = (above * counts[slabAxis] + start / chunk[slabAxis]) * layerChunks
    return SlabRegion(
      thickness: thickness,
      bytes: strides[slabAxis] * thickness * voxelBytes,
      chunks: firstChunk..<firstChunk + layers * layerChunks)
  }

  /// The runs of bytes that chunk `index` of a slab and the slab have in common.
  ///
  /// - Parameters:
  ///   - index: the chunk's place in the slab, from 0, X fastest.
  ///   - thickness: the slab's, in voxels along `slabAxis`.
  /// - Returns: a walk that stands at the first run.
  func runs(ofChunk index: Int, slabThickness thickness: Int) -> ChunkRuns {
    ChunkRuns(self, index, thickness)
  }

  /// Whether chunk `index` of a slab reaches past an edge of the volume.
  func isPartial(chunk index: Int, slabThickness thickness: Int) -> Bool {
    var rest = index
    for axis in 0...slabAxis {
      let extent = axis == slabAxis ? thickness : shape[axis]
      let count = (extent + chunk[axis] - 1) / chunk[axis]
      if rest % count * chunk[axis] + chunk[axis] > extent { return true }
      rest /= count
    }
    return false
  }
}

/// One slab of a volume.
public struct SlabRegion: Sendable {
  /// Voxels along the slab axis.
  public let thickness: Int
  /// Bytes of its voxels.
  public let bytes: Int
  /// The numbers of its chunks in the volume, X fastest.
  public let chunks: Range<Int>
}

/// Walks through the runs of bytes that a chunk and its slab have in common.
struct ChunkRuns {
  /// Bytes of every run.
  let count: Int
  /// Offset of the present run in the chunk and in the slab, in bytes.
  private(set) var inChunk = 0
  private(set) var inSlab = 0

  // Along each axis above the run's: how many steps there are, how many were made, and what a
  // step means in bytes.
  private var steps: [(extent: Int, position: Int, chunkStride: Int, slabStride: Int)] = []

  fileprivate init(_ grid: ChunkGrid, _ index: Int, _ thickness: Int) {
    var rest = index
    var inside: [Int] = []
    for axis in 0...grid.slabAxis {
      let extent = axis == grid.slabAxis ? thickness : grid.shape[axis]
      let count = (extent + grid.chunk[axis] - 1) / grid.chunk[axis]
      let begin = rest % count * grid.chunk[axis]
      rest /= count
      inside.append(min(grid.chunk[axis], extent - begin))
      inSlab += begin * grid.strides[axis] * grid.voxelBytes
    }
    // Leading axes that the chunk spans whole make one longer run.
    var first = 0
    var run = inside[0]
    var chunkStride = grid.chunk[0]
    while first < grid.slabAxis, grid.chunk[first] == grid.shape[first] {
      first += 1
      run *= inside[first]
      chunkStride *= grid.chunk[first]
    }
    count = run * grid.voxelBytes
    var axis = first + 1
    while axis <= grid.slabAxis {
      steps.append(
        (
          extent: inside[axis], position: 0, chunkStride: chunkStride * grid.voxelBytes,
          slabStride: grid.strides[axis] * grid.voxelBytes
        ))
      chunkStride *= grid.chunk[axis]
      axis += 1
    }
  }

  /// Goes on to the next run; false if there is none.
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

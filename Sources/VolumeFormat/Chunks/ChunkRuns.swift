/// Walks through the runs of bytes that a chunk and its slab have in common, many at a time.
///
/// A run is consecutive in both: a row of the chunk, or several where they are whole rows of the
/// slab, too. At each stop the walk has all runs along the next axis:
///
///     slab                             chunk
///     +--------------------------+     +-----------+
///     |          :     :         |     |           |
///     |          [=run=]         |     |   [=run=] |   inChunk, inSlab: the first
///     |          [=====]         |     |   [=====] |   chunkStride, slabStride: to the next
///     |          [=====]         |     |   [=====] |   rows: 3
///     +--------------------------+     +-----------+
///
/// What a chunk has outside of its slab, before it or behind, no run holds.
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

  /// Makes the walk from what chunk and slab have in common along each axis of the slab.
  init(_ grid: ChunkGrid, _ overlap: [ChunkGrid.Overlap]) {
    var chunkStride = grid.voxelBytes
    for (axis, common) in overlap.enumerated() {
      inChunk += common.inChunk * chunkStride
      inSlab += common.inSlab * grid.strides[axis] * grid.voxelBytes
      chunkStride *= grid.chunk[axis]
    }
    // Leading axes that the chunk spans whole make one longer run.
    var first = 0
    var run = overlap[0].count
    chunkStride = grid.chunk[0]
    while first < grid.slabAxis, grid.chunk[first] == grid.shape[first], grid.lead[first] == 0 {
      first += 1
      run *= overlap[first].count
      chunkStride *= grid.chunk[first]
    }
    count = run * grid.voxelBytes
    var axis = first + 1
    if axis <= grid.slabAxis {
      rows = overlap[axis].count
      self.chunkStride = chunkStride * grid.voxelBytes
      slabStride = grid.strides[axis] * grid.voxelBytes
      chunkStride *= grid.chunk[axis]
      axis += 1
    }
    while axis <= grid.slabAxis {
      steps.append(
        (
          extent: overlap[axis].count, position: 0, chunkStride: chunkStride * grid.voxelBytes,
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

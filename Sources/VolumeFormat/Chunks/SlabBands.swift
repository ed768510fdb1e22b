/// How a slab that is in a scratch file is cut into bands, and where their voxels lie in the file.
///
/// A band is consecutive voxels of the stream: all of the axes below the *band axis*, some voxels
/// along it, and one along each axis above it up to the slab axis. It never goes over from one layer
/// of chunks to the next, so that it has one consecutive part of each chunk that it crosses:
///
///     band axis
///       ^    +-----------+-----------+-----------+
///       |    |  +-----------------------------+  |
///       |    |  |                      band 4 |  |   second layer of chunks
///            |  |- - - - - - - - - - - - - - -|  |
///            |  |                      band 3 |  |
///            |  |- - - - - - - - - - - - - - -|  |
///            |  |                      band 2 |  |
///            +--|-----------------------------|--+
///            |  |                      band 1 |  |
///            |  |- - - - - - - - - - - - - - -|  |   first layer
///            |  |                      band 0 |  |
///            |  +-----------------------------+  |
///            |  :        |           |           |   --> axes below
///            +--:--------+-----------+-----------+
///            0  lead
///
/// A layer is cut into *cells* of so many voxels, counted from where its chunks begin; the last may
/// be thinner. What a cell and the slab have in common is a band: so the first may be thinner, too.
///
/// In the file, where chunks lie whole, a band is *columns*, one for each chunk that it crosses: the
/// chunk's voxels at the height of the band, over the chunk's whole width, zeros outside the slab.
struct SlabBands {
  /// One band.
  struct Band {
    /// The band as a volume of its own, which is one slab; its chunks are the columns.
    let columns: ChunkGrid
    /// Where the first column lies in the file, and from one to the next, in bytes.
    fileprivate let first: Int
    fileprivate let distance: Int

    /// Where a column lies in the file, in bytes.
    func place(ofColumn number: Int) -> UInt64 { UInt64(first + number * distance) }
  }

  /// How the slab's volume is cut.
  let grid: ChunkGrid
  /// Number of bands.
  let count: Int
  private let region: SlabRegion
  private let axis: Int
  /// The thickness of a cell, in voxels.
  private let cell: Int
  /// The cells of all layers that the slab touches, the first of the first layer being 0.
  private let cells: Range<Int>

  /// Cuts a slab into the thickest bands that have at most `maximumBytes`, or into single voxels.
  init(_ grid: ChunkGrid, _ region: SlabRegion, maximumBytes: Int) {
    // The highest axis of which one layer of voxels is small enough, and as much of it as is.
    axis = (0...grid.slabAxis).last { grid.strides[$0] * grid.voxelBytes <= maximumBytes } ?? 0
    let chunk = grid.chunk[axis]
    let cell = min(chunk, max(1, maximumBytes / (grid.strides[axis] * grid.voxelBytes)))
    func number(ofCellAt place: Int) -> Int {
      place / chunk * Self.cellsPerChunk(chunk, cell) + place % chunk / cell
    }
    let span = Self.span(axis, grid, region)
    cells = number(ofCellAt: span.lowerBound)..<number(ofCellAt: span.upperBound - 1) + 1
    count = Self.higherAxes(axis, grid).reduce(cells.count) {
      $0 * Self.span($1, grid, region).count
    }
    self.cell = cell
    self.grid = grid
    self.region = region
  }

  /// The most bytes of a band.
  var maximumBytes: Int { cell * grid.strides[axis] * grid.voxelBytes }

  /// The bytes of a band's voxels in memory.
  func bytes(ofBand number: Int) -> Int {
    thickness(ofBand: number).count * grid.strides[axis] * grid.voxelBytes
  }

  /// The band `number`, counted in the order of the voxels.
  subscript(number: Int) -> Band {
    let along = thickness(ofBand: number)
    let lower = 0..<axis
    guard
      let columns = ChunkGrid(
        shape: grid.shape[lower] + [along.count], chunk: grid.chunk[lower] + [along.count],
        voxelBytes: grid.voxelBytes, slabAxis: axis, lead: grid.lead[lower] + [0])
    else { preconditionFailure("a part of a chunk is no larger than the chunk") }
    // The band's first voxel along the band axis and those above: its chunk, and its place therein.
    var places = [along.lowerBound]
    var rest = number / cells.count
    for higher in Self.higherAxes(axis, grid) {
      let span = Self.span(higher, grid, region)
      places.append(span.lowerBound + rest % span.count)
      rest /= span.count
    }
    var chunk = 0
    var voxel = 0
    var chunkStride = grid.counts[lower].reduce(1, *)
    var voxelStride = grid.chunk[lower].reduce(1, *)
    for (axis, place) in zip(axis..., places) {
      chunk += place / grid.chunk[axis] * chunkStride
      voxel += place % grid.chunk[axis] * voxelStride
      chunkStride *= grid.counts[axis]
      voxelStride *= grid.chunk[axis]
    }
    return Band(
      columns: columns, first: chunk * grid.chunkBytes + voxel * grid.voxelBytes,
      distance: grid.chunkBytes)
  }

  // MARK: Places along an axis, in voxels from where the slab's first chunk begins

  private static func cellsPerChunk(_ chunk: Int, _ cell: Int) -> Int { (chunk + cell - 1) / cell }

  /// The axes above the band axis along which the slab extends.
  private static func higherAxes(_ axis: Int, _ grid: ChunkGrid) -> Range<Int> {
    axis + 1..<grid.slabAxis + 1
  }

  /// What the slab has of an axis.
  private static func span(_ axis: Int, _ grid: ChunkGrid, _ region: SlabRegion) -> Range<Int> {
    axis == grid.slabAxis
      ? region.lead..<region.lead + region.thickness
      : grid.lead[axis]..<grid.lead[axis] + grid.shape[axis]
  }

  /// What a band has of the band axis.
  private func thickness(ofBand number: Int) -> Range<Int> {
    let chunk = grid.chunk[axis]
    let (layer, inLayer) = (cells.lowerBound + number % cells.count)
      .quotientAndRemainder(dividingBy: Self.cellsPerChunk(chunk, cell))
    let start = layer * chunk + inLayer * cell
    let end = min(start + cell, (layer + 1) * chunk)
    return (start..<end).clamped(to: Self.span(axis, grid, region))
  }
}

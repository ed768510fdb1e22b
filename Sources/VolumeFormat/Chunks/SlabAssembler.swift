/// Cuts the voxels of one volume, as they come, into slabs.
package struct SlabAssembler {
  private let grid: ChunkGrid
  private let makeSlab: (ChunkGrid, Int) throws -> Slab
  private var number = 0
  private var slab: Slab?
  private var band = 0
  private var filled = 0

  package init(_ grid: ChunkGrid, makeSlab: @escaping (ChunkGrid, Int) throws -> Slab) {
    self.grid = grid
    self.makeSlab = makeSlab
  }

  /// Memory for the next voxels; empty when the volume is whole.
  ///
  /// - Throws: what `makeSlab` throws.
  package mutating func room() throws -> UnsafeMutableRawBufferPointer {
    if slab == nil {
      guard number < grid.slabCount else { return .init(start: nil, count: 0) }
      slab = try makeSlab(grid, number)
      band = 0
      filled = 0
    }
    guard let memory = slab?.band(band) else { return .init(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(rebasing: memory[filled...])
  }

  /// Says that `count` bytes of `room` were filled.
  ///
  /// - Returns: the slab that this made whole.
  /// - Throws: `IOFailure` of a scratch file.
  package mutating func advance(_ count: Int) throws -> Slab? {
    filled += count
    guard let slab, filled == slab.band(band).count else { return nil }
    try slab.store(band: band)
    filled = 0
    band += 1
    guard band == slab.bandCount else { return nil }
    number += 1
    self.slab = nil
    return slab
  }
}

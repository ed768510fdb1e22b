package import ByteIO

/// One slab's voxels on their way between the order of the stream and that of chunks.
///
/// A slab of ordinary size is in memory. A larger one (a coronal chunk of a large volume, say, needs
/// all of its planes) is in a scratch file, and only a *band* of it is in memory: consecutive voxels
/// that lie in one layer of chunks.
///
///     stream   --> band, store -->  slab  --> getChunk --> chunks      vol-write
///     stream   <-- load, band  <--  slab  <-- putChunk <-- chunks      vol-cat
///
/// Either way the stream's side takes or gives bands, in order and by one thread, and the chunks'
/// side takes or gives chunks, in any order and from several threads.
package final class Slab: @unchecked Sendable {
  private enum Place {
    case memory(MemorySlab)
    case scratch(ScratchSlab)
  }

  /// How the volume is cut.
  package let grid: ChunkGrid
  /// Which part of the volume this is.
  package let region: SlabRegion
  private let place: Place
  private let pool: SlabPool
  /// What `pool` gave: all of the slab, or room for a band.
  private let memory: UnsafeMutableRawBufferPointer

  /// Makes room for slab `number` of a volume.
  ///
  /// - Parameters:
  ///   - grid: how the volume is cut.
  ///   - number: which slab, in the order of the voxels.
  ///   - pool: where its memory comes from.
  ///   - maximumBytes: what is larger goes through a scratch file.
  ///   - scratch: makes a scratch file.
  /// - Throws: what `scratch` throws.
  package init(
    _ grid: ChunkGrid, _ number: Int, pool: SlabPool, maximumBytes: Int,
    scratch: () throws -> OutputFile
  ) throws {
    let region = grid.slab(number)
    if region.bytes <= maximumBytes {
      memory = pool.take(region.bytes)
      place = .memory(MemorySlab(grid, region, memory))
    } else {
      let file = try scratch()
      let bands = SlabBands(grid, region, maximumBytes: maximumBytes)
      memory = pool.take(bands.maximumBytes)
      place = .scratch(ScratchSlab(bands, file, room: memory))
    }
    self.grid = grid
    self.region = region
    self.pool = pool
  }

  deinit {
    pool.giveBack(memory)
    if case .scratch(let slab) = place { slab.close() }
  }

  /// Chunks of the slab.
  package var chunkCount: Int { region.chunks.count }

  // MARK: The stream's side

  /// Number of bands; one, if the slab is in memory.
  package var bandCount: Int {
    switch place {
    case .memory: 1
    case .scratch(let slab): slab.bands.count
    }
  }

  /// The memory of band `number`: to be filled, then passed on with `store`; or, after `load`, to
  /// be taken from.
  package func band(_ number: Int) -> UnsafeMutableRawBufferPointer {
    switch place {
    case .memory(let slab): slab.voxels
    case .scratch(let slab): slab.room(forBand: number)
    }
  }

  /// Passes on the filled band `number`.
  ///
  /// - Throws: `IOFailure` of a scratch file.
  package func store(band number: Int) throws {
    if case .scratch(let slab) = place { try slab.store(band: number) }
  }

  /// Fetches band `number`, once all chunks were put.
  ///
  /// - Throws: `IOFailure` of a scratch file.
  package func load(band number: Int) throws {
    if case .scratch(let slab) = place { try slab.load(band: number) }
  }

  // MARK: The chunks' side

  /// Fills `target` with chunk `index` of the slab; what lies outside of the volume is zero.
  ///
  /// - Parameters:
  ///   - index: its place in the slab, from 0, X fastest.
  ///   - target: exactly the size of a chunk.
  /// - Throws: `IOFailure` of a scratch file.
  package func getChunk(_ index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    switch place {
    case .memory(let slab): slab.getChunk(index, into: target)
    case .scratch(let slab): try slab.getChunk(index, into: target)
    }
  }

  /// Takes what chunk `index` of the slab holds of it.
  ///
  /// - Parameters:
  ///   - index: its place in the slab, from 0, X fastest.
  ///   - plain: what it decoded to; no defect.
  ///   - valueSize: bytes a value.
  ///   - piece: memory for a part of a chunk, which may be needed.
  /// - Throws: `IOFailure` of a scratch file.
  package func putChunk(
    _ index: Int, from plain: ChunkCodec.Plain, valueSize: Int, piece: ScratchBuffer
  ) throws {
    switch place {
    case .memory(let slab): slab.putChunk(index, from: plain, valueSize: valueSize)
    case .scratch(let slab):
      try slab.putChunk(index, from: plain, valueSize: valueSize, piece: piece)
    }
  }
}

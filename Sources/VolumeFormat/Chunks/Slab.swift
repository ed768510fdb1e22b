internal import ByteIO
internal import Glibc

/// One slab's voxels on their way between the order of the stream and that of chunks.
///
/// A slab of ordinary size is memory. A larger one (a coronal chunk of a large volume, say, needs
/// all of its planes) is a scratch file in which the chunks lie one after the other, and only a
/// *band* of it is in memory: consecutive voxels that lie in one layer of chunks. Either way the
/// stream's side takes or gives `bands`, in order, and the chunks' side takes or gives chunks, in
/// any order and from several threads.
package final class Slab: @unchecked Sendable {
  package let grid: ChunkGrid
  package let region: SlabRegion
  /// Number of bands.
  package let bandCount: Int
  private let pool: SlabPool
  private let memory: UnsafeMutableRawBufferPointer
  private let scratch: OutputFile?
  private let bandAxis: Int
  private let bandThickness: Int

  /// Makes room for slab `number` of a volume.
  ///
  /// - Parameters:
  ///   - grid: how the volume is cut.
  ///   - number: which slab, in the order of the voxels.
  ///   - pool: where its memory comes from.
  ///   - maximumBytes: what is larger goes through a scratch file.
  ///   - scratchFolder: where a scratch file may be made, which has no name.
  /// - Throws: `IOFailure` if there can be no scratch file.
  package init(
    _ grid: ChunkGrid, _ number: Int, pool: SlabPool, maximumBytes: Int,
    scratchFolder: @autoclosure () -> String
  ) throws {
    self.grid = grid
    self.pool = pool
    region = grid.slab(number)
    if region.bytes <= maximumBytes {
      scratch = nil
      bandAxis = grid.slabAxis
      bandThickness = region.thickness
      bandCount = 1
      memory = pool.take(region.bytes)
    } else {
      scratch = try OutputFile(scratchIn: scratchFolder())
      // The highest axis of which one layer is small enough, and as much of it as is.
      let axis =
        (0...grid.slabAxis).last { grid.strides[$0] * grid.voxelBytes <= maximumBytes } ?? 0
      let layer = grid.strides[axis] * grid.voxelBytes
      bandAxis = axis
      bandThickness = min(grid.chunk[axis], max(1, maximumBytes / layer))
      var count = Self.bandsAlong(axis, grid, region, bandThickness).count
      for higher in axis + 1..<max(axis + 1, grid.slabAxis + 1) {
        count *= higher == grid.slabAxis ? region.thickness : grid.shape[higher]
      }
      bandCount = count
      memory = pool.take(bandThickness * layer)
    }
  }

  deinit {
    pool.giveBack(memory)
    try? scratch?.close()
  }

  /// Chunks of the slab.
  package var chunkCount: Int { region.chunks.count }

  // MARK: The stream's side

  /// The memory of band `number`: to be filled, then passed on with `store`; or, after `load`, to
  /// be taken from.
  package func band(_ number: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: memory[..<bandBytes(number)])
  }

  /// Passes on the filled band `number`.
  package func store(band number: Int) throws {
    guard let scratch else { return }
    let pieces = pieces(ofBand: number)
    let buffer = ScratchBuffer()
    let bytes = buffer.bytes(pieces.bytes)
    for column in 0..<pieces.columns.chunkCount {
      pieces.columns.gather(
        column, of: memory, thickness: pieces.thickness, phase: 0, into: bytes)
      // What is not written reads as zeros, and takes no room.
      if isZero(UnsafeRawBufferPointer(bytes)) { continue }
      try scratch.write(UnsafeRawBufferPointer(bytes), at: pieces.place(column))
    }
  }

  /// Fetches band `number`, once all chunks were put.
  package func load(band number: Int) throws {
    guard let scratch else { return }
    let pieces = pieces(ofBand: number)
    let buffer = ScratchBuffer()
    let bytes = buffer.bytes(pieces.bytes)
    for column in 0..<pieces.columns.chunkCount {
      try scratch.read(at: pieces.place(column), into: bytes)
      pieces.columns.scatter(
        UnsafeRawBufferPointer(bytes), column, thickness: pieces.thickness, phase: 0, into: memory)
    }
  }

  // MARK: The chunks' side

  /// Fills `target` with chunk `index` of the slab; what lies outside of the volume is zero.
  package func getChunk(_ index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    if let scratch {
      try scratch.read(at: UInt64(index) * UInt64(grid.chunkBytes), into: target)
      return
    }
    grid.gather(
      index, of: memory, thickness: region.thickness, phase: region.phase, into: target)
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
    _ index: Int, from plain: ChunkCodec.Plain, valueSize: Int,
    piece: ScratchBuffer
  ) throws {
    if let scratch {
      return try plain.write(
        grid.chunkBytes, valueSize, to: scratch, at: UInt64(index) * UInt64(grid.chunkBytes),
        piece: piece)
    }
    let chunkBytes = grid.chunkBytes
    var runs = grid.runs(ofChunk: index, thickness: region.thickness, phase: region.phase)
    repeat { plain.copy(runs, of: chunkBytes, valueSize, to: memory) } while runs.advance()
  }

  // MARK: Bands

  // Bands are counted in cells: each chunk along the band axis is cut into so many of
  // `bandThickness`, of which the last may be thinner. Places are counted in voxels from the
  // beginning of the first chunk.

  private static func cell(of place: Int, chunk: Int, _ thickness: Int) -> Int {
    place / chunk * ((chunk + thickness - 1) / thickness) + place % chunk / thickness
  }

  /// The cells that a slab touches along an axis.
  private static func bandsAlong(
    _ axis: Int, _ grid: ChunkGrid, _ region: SlabRegion, _ thickness: Int
  ) -> Range<Int> {
    let (begin, end) = span(axis, grid, region)
    return cell(of: begin, chunk: grid.chunk[axis], thickness)..<cell(
      of: end - 1, chunk: grid.chunk[axis], thickness) + 1
  }

  /// Where the slab begins and ends along an axis.
  private static func span(_ axis: Int, _ grid: ChunkGrid, _ region: SlabRegion) -> (Int, Int) {
    axis == grid.slabAxis
      ? (region.phase, region.phase + region.thickness)
      : (grid.phase[axis], grid.phase[axis] + grid.shape[axis])
  }

  /// Where a band begins along each axis from the band axis to the slab axis, and its thickness.
  private func bandStart(_ number: Int) -> (places: [Int], thickness: Int) {
    let cells = Self.bandsAlong(bandAxis, grid, region, bandThickness)
    let chunk = grid.chunk[bandAxis]
    let perChunk = (chunk + bandThickness - 1) / bandThickness
    let cell = cells.lowerBound + number % cells.count
    let cellStart = cell / perChunk * chunk + cell % perChunk * bandThickness
    let cellEnd = min(cellStart + bandThickness, (cell / perChunk + 1) * chunk)
    let (begin, end) = Self.span(bandAxis, grid, region)
    let start = max(begin, cellStart)
    var places = [start]
    var rest = number / cells.count
    for axis in bandAxis + 1..<max(bandAxis + 1, grid.slabAxis + 1) {
      let (begin, end) = Self.span(axis, grid, region)
      places.append(begin + rest % (end - begin))
      rest /= end - begin
    }
    return (places, min(end, cellEnd) - start)
  }

  private func bandBytes(_ number: Int) -> Int {
    if scratch == nil { return region.bytes }
    return bandStart(number).thickness * grid.strides[bandAxis] * grid.voxelBytes
  }

  /// The parts of chunks that make up a band: each is consecutive in its chunk.
  private struct Pieces {
    /// The band as a volume of its own, cut into columns of chunks.
    var columns: ChunkGrid
    var thickness: Int
    /// Place in the scratch file of the first, and how far apart they are.
    var first: Int
    var distance: Int

    var bytes: Int { columns.chunkBytes }
    func place(_ column: Int) -> UInt64 { UInt64(first + column * distance) }
  }

  private func pieces(ofBand number: Int) -> Pieces {
    let (places, thickness) = bandStart(number)
    let lower = 0..<bandAxis
    guard
      let columns = ChunkGrid(
        shape: grid.shape[lower] + [thickness], chunk: grid.chunk[lower] + [thickness],
        voxelBytes: grid.voxelBytes, slabAxis: bandAxis, phase: grid.phase[lower] + [0])
    else { preconditionFailure("a part of a chunk is no larger than the chunk") }
    var firstChunk = 0
    var inChunk = 0
    var chunkStride = grid.counts[lower].reduce(1, *)
    var voxelStride = grid.chunk[lower].reduce(1, *)
    for (axis, place) in zip(bandAxis..., places) {
      firstChunk += place / grid.chunk[axis] * chunkStride
      inChunk += place % grid.chunk[axis] * voxelStride
      chunkStride *= grid.counts[axis]
      voxelStride *= grid.chunk[axis]
    }
    return Pieces(
      columns: columns, thickness: thickness,
      first: firstChunk * grid.chunkBytes + inChunk * grid.voxelBytes, distance: grid.chunkBytes)
  }
}

extension ChunkGrid {
  /// Fills `target` with a chunk of the slab in `memory`; what lies outside of the slab is zero.
  fileprivate func gather(
    _ index: Int, of memory: UnsafeMutableRawBufferPointer, thickness: Int, phase: Int,
    into target: UnsafeMutableRawBufferPointer
  ) {
    if isPartial(chunk: index, thickness: thickness, phase: phase) {
      target.initializeMemory(as: UInt8.self, repeating: 0)
    }
    var runs = runs(ofChunk: index, thickness: thickness, phase: phase)
    repeat {
      copy(
        target, runs.inChunk, runs.chunkStride, UnsafeRawBufferPointer(memory), runs.inSlab,
        runs.slabStride, runs)
    } while runs.advance()
  }

  /// Copies a chunk to its place in the slab in `memory`.
  fileprivate func scatter(
    _ source: UnsafeRawBufferPointer, _ index: Int, thickness: Int, phase: Int,
    into memory: UnsafeMutableRawBufferPointer
  ) {
    var runs = runs(ofChunk: index, thickness: thickness, phase: phase)
    repeat {
      copy(memory, runs.inSlab, runs.slabStride, source, runs.inChunk, runs.chunkStride, runs)
    } while runs.advance()
  }
}

extension ChunkCodec.Plain {
  /// Copies the runs of a chunk of `total` bytes, whole values of `valueSize`, to their slab.
  fileprivate func copy(
    _ runs: ChunkRuns, of total: Int, _ valueSize: Int, to memory: UnsafeMutableRawBufferPointer
  ) {
    precondition(
      runs.inChunk + (runs.rows - 1) * runs.chunkStride + runs.count <= total
        && runs.inSlab + (runs.rows - 1) * runs.slabStride + runs.count <= memory.count)
    guard let base = memory.baseAddress else { return }
    let out = base + runs.inSlab
    switch self {
    case .zeros:
      for row in 0..<runs.rows { memset(out + row * runs.slabStride, 0, runs.count) }
    case .values(let plain):
      for row in 0..<runs.rows {
        memcpy(
          out + row * runs.slabStride, plain + runs.inChunk + row * runs.chunkStride, runs.count)
      }
    case .planes(let plain):
      Shuffle.undo(
        from: plain + runs.inChunk / valueSize, planeCount: total / valueSize, to: out,
        count: runs.count / valueSize, size: valueSize, rows: runs.rows,
        sourceStride: runs.chunkStride / valueSize, targetStride: runs.slabStride)
    case .defect: preconditionFailure("a chunk that did not decode")
    }
  }

  /// Writes a chunk of `total` bytes to a scratch file whose unwritten bytes read as zeros.
  fileprivate func write(
    _ total: Int, _ valueSize: Int, to scratch: OutputFile, at offset: UInt64, piece: ScratchBuffer
  ) throws {
    switch self {
    case .zeros: break
    case .values(let plain):
      try scratch.write(UnsafeRawBufferPointer(start: plain, count: total), at: offset)
    case .planes(let plain):
      let count = total / valueSize
      let step = (1 << 20) / valueSize
      for first in stride(from: 0, to: count, by: step) {
        let values = min(step, count - first)
        let bytes = piece.bytes(values * valueSize)
        guard let out = bytes.baseAddress else { return }
        Shuffle.undo(
          from: plain + first, planeCount: count, to: out, count: values, size: valueSize, rows: 1,
          sourceStride: 0, targetStride: 0)
        try scratch.write(UnsafeRawBufferPointer(bytes), at: offset + UInt64(first * valueSize))
      }
    case .defect: preconditionFailure("a chunk that did not decode")
    }
  }
}

@inline(__always)
private func copy(
  _ target: UnsafeMutableRawBufferPointer, _ to: Int, _ toStride: Int,
  _ source: UnsafeRawBufferPointer, _ from: Int, _ fromStride: Int, _ runs: ChunkRuns
) {
  let (rows, count) = (runs.rows, runs.count)
  precondition(
    to + (rows - 1) * toStride + count <= target.count
      && from + (rows - 1) * fromStride + count <= source.count)
  guard let target = target.baseAddress, let source = source.baseAddress else { return }
  for row in 0..<rows {
    memcpy(target + to + row * toStride, source + from + row * fromStride, count)
  }
}

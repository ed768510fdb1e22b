internal import ByteIO

/// A slab that is too large for memory: a scratch file in which its chunks lie whole, one after the
/// other, X fastest, and room in memory for a band of it.
///
/// Bands are for one thread; chunks may be taken and put by several.
struct ScratchSlab {
  let bands: SlabBands
  private let file: OutputFile
  private let room: UnsafeMutableRawBufferPointer

  /// Takes a scratch file, and room of `bands.maximumBytes` or more; both are somebody else's.
  init(_ bands: SlabBands, _ file: OutputFile, room: UnsafeMutableRawBufferPointer) {
    self.bands = bands
    self.file = file
    self.room = room
  }

  /// Gives the scratch file up.
  func close() { try? file.close() }

  // MARK: Bands

  /// The memory of a band's voxels; all bands have the same.
  func room(forBand number: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: room[..<bands.bytes(ofBand: number)])
  }

  /// Writes the band that is in memory into the chunks that it crosses.
  func store(band number: Int) throws {
    let band = bands[number]
    let voxels = MemorySlab(band.columns, band.columns.slab(0), room)
    let buffer = ScratchBuffer()
    let part = buffer.bytes(band.columns.chunkBytes)
    for column in 0..<voxels.chunkCount {
      voxels.getChunk(column, into: part)
      // What is not written reads as zeros, and takes no room.
      if isZero(UnsafeRawBufferPointer(part)) { continue }
      try file.write(UnsafeRawBufferPointer(part), at: band.place(ofColumn: column))
    }
  }

  /// Reads a band into memory from the chunks that it crosses.
  func load(band number: Int) throws {
    let band = bands[number]
    let voxels = MemorySlab(band.columns, band.columns.slab(0), room)
    let buffer = ScratchBuffer()
    let part = buffer.bytes(band.columns.chunkBytes)
    for column in 0..<voxels.chunkCount {
      try file.read(at: band.place(ofColumn: column), into: part)
      voxels.putChunk(column, from: UnsafeRawBufferPointer(part))
    }
  }

  // MARK: Chunks

  /// Fills `target` with chunk `index` of the slab; what lies outside of the slab is zero.
  func getChunk(_ index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    try file.read(at: place(ofChunk: index), into: target)
  }

  /// Takes what chunk `index` of the slab decoded to; `piece` is memory for a part of it.
  func putChunk(
    _ index: Int, from plain: ChunkCodec.Plain, valueSize: Int, piece: ScratchBuffer
  ) throws {
    try plain.write(
      bands.grid.chunkBytes, valueSize, to: file, at: place(ofChunk: index), piece: piece)
  }

  private func place(ofChunk index: Int) -> UInt64 {
    UInt64(index) * UInt64(bands.grid.chunkBytes)
  }
}

extension ChunkCodec.Plain {
  /// Writes a chunk of `total` bytes to a scratch file whose unwritten bytes read as zeros.
  fileprivate func write(
    _ total: Int, _ valueSize: Int, to file: OutputFile, at offset: UInt64, piece: ScratchBuffer
  ) throws {
    switch self {
    case .zeros: break
    case .values(let plain):
      try file.write(UnsafeRawBufferPointer(start: plain, count: total), at: offset)
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
        try file.write(UnsafeRawBufferPointer(bytes), at: offset + UInt64(first * valueSize))
      }
    case .defect: preconditionFailure("a chunk that did not decode")
    }
  }
}

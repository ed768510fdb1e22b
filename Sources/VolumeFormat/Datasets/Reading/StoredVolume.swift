internal import Storage
internal import Chunks
internal import Frames
internal import ByteIO

/// One volume's place in the packs and its chunks, ready to be decoded by several threads.
final class StoredVolume: @unchecked Sendable {
  /// Chunks that lie one behind the other are fetched together as far as this.
  private static let fetchBytes = 1 << 20

  let record: CatalogRecord
  let header: VolumeHeader
  let grid: ChunkGrid
  private let pack: any ObjectReader
  private let index: ShardIndex

  /// Opens a volume: checks its record against its pack, and the shard's index.
  init(_ record: CatalogRecord, header: VolumeHeader, pack: any ObjectReader) throws {
    func damaged(_ reason: String) -> FormatError {
      FormatError(pack.path, at: record.shardOffset, volume: record.obsID.string, reason)
    }
    self.record = record
    self.header = header
    self.pack = pack
    let packBytes = pack.bytes
    guard
      let grid = ChunkGrid(
        shape: header.shape, chunk: record.chunk, voxelBytes: header.voxelBytes)
    else { throw damaged("its chunks are too large or too many") }
    self.grid = grid
    let indexSize = ShardIndex.size(chunks: grid.chunkCount)
    guard record.shardOffset >= UInt64(FileHeader.size), record.shardOffset <= packBytes,
      record.shardLength <= packBytes - record.shardOffset,
      record.shardLength >= UInt64(indexSize)
    else { throw damaged("its shard lies outside of the pack") }
    var bytes = [UInt8](repeating: 0, count: indexSize)
    let place = record.shardOffset + record.shardLength - UInt64(indexSize)
    let taken = try bytes.withUnsafeMutableBytes { try pack.read(at: place, into: $0) }
    guard taken == indexSize else { throw damaged("its shard is cut off") }
    // What zstd may need at most for a chunk that does not compress.
    let maximum = grid.chunkBytes + grid.chunkBytes / 128 + 1024
    do {
      index = try bytes.withUnsafeBytes {
        try ShardIndex(
          $0, chunks: grid.chunkCount, shardLength: record.shardLength,
          maximumChunk: UInt64(maximum))
      }
    } catch let defect as ShardDefect {
      throw damaged(defect.reason)
    }
  }

  /// About what it takes in memory.
  var memoryBytes: Int { 4096 + 16 * grid.chunkCount }

  /// What to say if the voxels have another CRC-32 than was recorded.
  func mismatch() -> FormatError {
    FormatError(
      pack.path, at: record.shardOffset, volume: record.obsID.string,
      "its voxels do not match the CRC-32 that was recorded")
  }

  /// The bytes of an extra.
  func extra(_ extra: CatalogRecord.Extra) throws -> [UInt8] {
    switch extra.place {
    case .held(let bytes): return bytes
    case .blob(let offset, let length):
      guard offset >= UInt64(FileHeader.size), offset <= pack.bytes,
        UInt64(length) <= pack.bytes - offset
      else {
        throw FormatError(
          pack.path, at: offset, volume: record.obsID.string,
          "what is kept beside it is not in the pack")
      }
      var stored = [UInt8](repeating: 0, count: Int(length))
      let taken = try stored.withUnsafeMutableBytes { try pack.read(at: offset, into: $0) }
      guard taken == stored.count,
        let bytes = stored.withUnsafeBytes({ Zstandard.decompress($0, size: extra.count) })
      else {
        throw FormatError(
          pack.path, at: offset, volume: record.obsID.string, "the bytes kept beside it are damaged"
        )
      }
      return bytes
    }
  }

  /// Decodes some chunks of a slab into it.
  func decode(_ range: Range<Int>, of slab: Slab, with worker: DecodeWorker) throws {
    let first = slab.region.chunks.lowerBound
    let numbers = range.map { slab.grid.chunkInVolume(first + $0) }
    let size = header.dtype.size
    var fetched = UnsafeRawBufferPointer(start: nil, count: 0)
    var hull: Range<UInt64> = 0..<0
    for (local, number) in zip(range, numbers) {
      let place = index[number]
      var encoded = UnsafeRawBufferPointer(start: nil, count: 0)
      if let place, !place.isEmpty {
        if !(hull.lowerBound <= place.lowerBound && place.upperBound <= hull.upperBound) {
          // Chunks that lie one behind the other are fetched by one read, and nothing between.
          hull = place
          for next in numbers[(local - range.lowerBound + 1)...] {
            guard let more = index[next] else { continue }
            guard more.lowerBound == hull.upperBound,
              more.upperBound - hull.lowerBound <= UInt64(Self.fetchBytes)
            else { break }
            hull = hull.lowerBound..<more.upperBound
          }
          fetched = try read(hull, into: worker.encoded)
        }
        let start = Int(place.lowerBound - hull.lowerBound)
        encoded = UnsafeRawBufferPointer(rebasing: fetched[start..<start + place.count])
      }
      let plain =
        place != nil && encoded.isEmpty
        ? .defect("it has no bytes")
        : worker.codec.decode(
          encoded, valueSize: size, shuffle: record.isShuffled, count: grid.chunkBytes)
      if case .defect(let defect) = plain {
        throw FormatError(
          pack.path, at: record.shardOffset + (place?.lowerBound ?? 0), volume: record.obsID.string,
          chunk: number, defect)
      }
      try slab.putChunk(local, from: plain, valueSize: size, piece: worker.piece)
    }
    worker.trim()
  }

  /// About the bytes that `decode` takes.
  var decodingBytes: Int { Self.fetchBytes + 2 * grid.chunkBytes }

  private func read(
    _ place: Range<UInt64>, into buffer: ScratchBuffer
  ) throws -> UnsafeRawBufferPointer {
    let target = buffer.bytes(place.count)
    let offset = record.shardOffset + place.lowerBound
    guard try pack.read(at: offset, into: target) == place.count else {
      throw FormatError(pack.path, at: offset, volume: record.obsID.string, "the pack is cut off")
    }
    return UnsafeRawBufferPointer(target)
  }
}

/// What one decoding thread needs.
final class DecodeWorker {
  let codec = ChunkCodec()
  let encoded = ScratchBuffer()
  let piece = ScratchBuffer()

  /// Gives back memory that a large chunk took.
  func trim() {
    codec.trim()
    encoded.trim()
  }
}

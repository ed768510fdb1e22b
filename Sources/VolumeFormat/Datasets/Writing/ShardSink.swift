internal import Chunks
internal import Frames
internal import ByteIO

/// What of a volume's way into the packs takes work.
enum StageWork: Sendable {
  case extra(afterVoxels: Bool, bytes: [UInt8])
  case chunks(Slab, Range<Int>, StageCodec)
}

/// How the chunks of one volume are encoded.
struct StageCodec: Sendable {
  var valueSize: Int
  var shuffle: Bool
  var level: Int
}

/// One step of a volume's way into the packs, in the order of the stream.
enum StageStep: Sendable {
  case begin(CatalogRecord, chunks: Int, ShardSink)
  case held(afterVoxels: Bool, bytes: [UInt8])
  case blob(afterVoxels: Bool, count: Int, bytes: [UInt8])
  case chunks(bytes: [UInt8], lengths: [Int])
  case finish(crc32: UInt32, quirks: [ExactString])
  case drop
}

/// Does what takes work; each thread has one.
struct StageWorker {
  private let codec = ChunkCodec()
  private let scratch = ScratchBuffer()

  func run(_ work: StageWork) throws -> StageStep {
    switch work {
    case .extra(let after, let bytes):
      if bytes.count <= CatalogRecord.inlineExtra { return .held(afterVoxels: after, bytes: bytes) }
      let blob = bytes.withUnsafeBytes { Zstandard.compress($0) }
      return .blob(afterVoxels: after, count: bytes.count, bytes: blob)
    case .chunks(let slab, let range, let how):
      var encoded: [UInt8] = []
      var lengths: [Int] = []
      let size = slab.grid.chunkBytes
      encoded.reserveCapacity(range.count * size / 2)
      let chunk = scratch.bytes(size)
      for index in range {
        try slab.getChunk(index, into: chunk)
        lengths.append(
          codec.encode(
            UnsafeRawBufferPointer(chunk), valueSize: how.valueSize, shuffle: how.shuffle,
            level: how.level, appendingTo: &encoded))
      }
      scratch.trim()
      codec.trim()
      return .chunks(bytes: encoded, lengths: lengths)
    }
  }
}

/// Puts finished steps, in order, into packs and catalog.
///
/// Used by one thread at a time: the pipeline's sink, then the one that waited for it.
final class ShardSink: @unchecked Sendable {
  let packs: PackSet
  let catalog: CatalogWriter
  private(set) var rawBytes: UInt64 = 0
  private var record: CatalogRecord?
  private var index = ShardIndex()
  private var chunks = 0
  private var held = 0

  init(packs: PackSet, catalog: CatalogWriter) {
    self.packs = packs
    self.catalog = catalog
  }

  func take(_ step: StageStep) throws {
    switch step {
    case .begin(let record, let chunks, _):
      try packs.beginVolume()
      self.record = record
      self.record?.pack = packs.number
      self.chunks = chunks
      index = ShardIndex()
      held = 0
    case .held(let after, let bytes):
      guard held + bytes.count <= CatalogRecord.maximumInline else {
        let blob = bytes.withUnsafeBytes { Zstandard.compress($0) }
        try take(.blob(afterVoxels: after, count: bytes.count, bytes: blob))
        return
      }
      held += bytes.count
      record?.extras.append(.init(afterVoxels: after, count: bytes.count, place: .held(bytes)))
    case .blob(let after, let count, let bytes):
      let place = CatalogRecord.Extra.Place.blob(
        offset: packs.offset, length: UInt32(bytes.count))
      record?.extras.append(.init(afterVoxels: after, count: count, place: place))
      try packs.append(bytes)
    case .chunks(let bytes, let lengths): try take(bytes, lengths)
    case .finish(let crc32, let quirks):
      guard var record else { preconditionFailure("no volume was begun") }
      if !quirks.isEmpty {
        var header = try record.header(in: catalog.path)
        header.quirks = (header.quirks ?? []) + quirks
        record.headerJSON = JSON.encode(header.json)
        guard record.headerJSON.count <= CatalogRecord.maximumHeader else {
          throw FormatError(
            record.obsID.string,
            "with its quirks, its header is over "
              + "\(CatalogRecord.maximumHeader) bytes long")
        }
      }
      record.crc32 = crc32
      try catalog.append(record)
      rawBytes += record.rawBytes
      self.record = nil
    case .drop:
      try packs.dropVolume()
      record = nil
    }
  }

  private func take(_ bytes: [UInt8], _ lengths: [Int]) throws {
    guard var record else { preconditionFailure("no volume was begun") }
    if index.count == 0 { record.shardOffset = packs.offset }
    var offset = packs.offset - record.shardOffset
    for length in lengths {
      if length == 0 {
        index.append(offset: ShardIndex.absent, length: ShardIndex.absent)
      } else {
        index.append(offset: offset, length: UInt64(length))
        offset += UInt64(length)
      }
    }
    try packs.append(bytes)
    if index.count == chunks {
      try packs.append(index.encoded())
      record.shardLength = packs.offset - record.shardOffset
    }
    self.record = record
  }
}

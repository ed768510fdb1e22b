internal import ByteIO

/// The index at the end of a shard: where each chunk of a volume is; see vol-dataset(5).
package struct ShardIndex {
  /// Offset and length of a chunk that is not stored, since all its bytes are zero.
  package static let absent = UInt64.max

  /// Bytes of the index of `chunks` chunks, checksum included.
  package static func size(chunks: Int) -> Int { chunks * 16 + 4 }

  /// Offset and length of each chunk, relative to the shard's start.
  private(set) var entries: [UInt64] = []

  /// Begins with no chunk.
  package init() {}

  /// Number of chunks.
  package var count: Int { entries.count / 2 }

  /// Adds the next chunk.
  package mutating func append(offset: UInt64, length: UInt64) {
    entries.append(offset)
    entries.append(length)
  }

  /// The bytes as they stand in the file.
  package func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.size(chunks: count))
    for word in entries { bytes.appendLittle(word) }
    bytes.appendLittle(bytes.withUnsafeBytes { CRC32C.of($0) })
    return bytes
  }

  /// Reads the index of `chunks` chunks at the end of a shard of `length` bytes.
  ///
  /// - Throws: a reason, for a wrong checksum or a chunk outside of the shard or of a length that
  ///   no chunk of `maximumChunk` bytes can have.
  package init(
    _ bytes: UnsafeRawBufferPointer, chunks: Int, shardLength: UInt64, maximumChunk: UInt64
  ) throws(ShardDefect) {
    guard bytes.count == Self.size(chunks: chunks),
      CRC32C.of(UnsafeRawBufferPointer(rebasing: bytes[..<(chunks * 16)]))
        == bytes.loadLittle(chunks * 16, as: UInt32.self)
    else { throw ShardDefect(reason: "the index of the shard does not match its CRC-32C") }
    let room = shardLength - UInt64(bytes.count)
    entries.reserveCapacity(chunks * 2)
    for chunk in 0..<chunks {
      let offset = bytes.loadLittle(chunk * 16, as: UInt64.self)
      let length = bytes.loadLittle(chunk * 16 + 8, as: UInt64.self)
      let isAbsent = offset == Self.absent && length == Self.absent
      guard isAbsent || (length <= maximumChunk && offset <= room && length <= room - offset) else {
        throw ShardDefect(reason: "chunk \(chunk) lies outside of its shard")
      }
      append(offset: offset, length: length)
    }
  }

  /// Where chunk `number` is, or nil if it is not stored.
  package subscript(number: Int) -> Range<UInt64>? {
    let offset = entries[number * 2]
    return offset == Self.absent ? nil : offset..<offset + entries[number * 2 + 1]
  }
}

/// Why a shard cannot be read.
package struct ShardDefect: Error {
  package var reason: String
}

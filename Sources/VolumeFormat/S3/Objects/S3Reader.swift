internal import ByteIO
internal import Frames
internal import Storage

/// An object that is read by parts.
///
/// Its end is kept once it was read: there are the indexes of what volpipe writes. An object of
/// which the end is all is whole in memory, and stays readable after it was removed.
final class S3Reader: ObjectReader, @unchecked Sendable {
  let path: String
  let bytes: UInt64
  private let bucket: Bucket
  private let key: String
  private let monitor = Monitor()
  /// Its last bytes, as far as they were read; guarded.
  private var end: [UInt8]

  /// Bytes of the end that are read with it: an index, or a small object whole.
  static let endBytes = 64 << 10

  /// Opens an object.
  ///
  /// - Parameters:
  ///   - bucket: where.
  ///   - key: its key.
  ///   - bytes: its size, if that is known: a large one is not asked for before it is read.
  /// - Throws: `IOFailure` if there is none; `FormatError` if it has another size; what
  ///   `Bucket.send` throws.
  init(_ bucket: Bucket, _ key: String, bytes: UInt64?) throws {
    (self.bucket, self.key) = (bucket, key)
    path = bucket.place(key)
    if let bytes, bytes > UInt64(Self.endBytes) {
      (self.bytes, end) = (bytes, [])
      return
    }
    let (whole, end) = try bucket.end(key, Self.endBytes)
    guard whole == bytes ?? whole else { throw Self.wrongSize(path, bytes ?? 0) }
    (self.bytes, self.end) = (whole, end)
  }

  private static func wrongSize(_ path: String, _ bytes: UInt64) -> FormatError {
    FormatError(path, "its size is not \(bytes) bytes, as recorded")
  }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard offset < bytes, !buffer.isEmpty else { return 0 }
    let count = Int(min(UInt64(buffer.count), bytes - offset))
    let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    let kept = monitor.update { end }
    let start = bytes - UInt64(kept.count)
    if offset >= start {
      kept[Int(offset - start)...].prefix(count).withUnsafeBytes { room.copyMemory(from: $0) }
      return count
    }
    let whole = try bucket.read(key, at: offset, into: room)
    guard whole == bytes else { throw Self.wrongSize(path, bytes) }
    return count
  }

  func readEnd(_ count: Int) throws -> [UInt8] {
    let wanted = Int(min(UInt64(max(0, count)), bytes))
    let kept = monitor.update { end }
    if kept.count >= wanted { return Array(kept.suffix(wanted)) }
    let (whole, more) = try bucket.end(key, max(wanted, Self.endBytes))
    guard whole == bytes else { throw Self.wrongSize(path, bytes) }
    monitor.update { end = more }
    return Array(more.suffix(wanted))
  }
}

extension Bucket {
  /// The last bytes of an object, and its size.
  ///
  /// - Parameters:
  ///   - key: which.
  ///   - count: how many, or all if there are fewer.
  /// - Returns: the size, and the bytes.
  /// - Throws: `IOFailure` if there is none; what `send` throws.
  func end(_ key: String, _ count: Int) throws -> (whole: UInt64, bytes: [UInt8]) {
    let reply = try send(
      Request(
        operation: "read", method: .get, key: key,
        headers: [.init(name: "range", value: "bytes=-\(count)")],
        target: .bytes(maximum: count), accepted: [404, 416]))
    switch reply.response.status {
    case 404: throw try missing(key, reply.response)
    // No part of nothing can be had.
    case 416: return (0, [])
    case 206:
      guard let whole = reply.response.totalBytes,
        UInt64(reply.response.body.count) == min(whole, UInt64(count))
      else { throw notAPart(key) }
      return (whole, reply.response.body)
    // A server may give all, where that is no more than was asked for.
    default: return (UInt64(reply.response.body.count), reply.response.body)
    }
  }

  /// Fills a buffer with a part of an object, all of which must be there.
  ///
  /// - Returns: the size of the whole.
  /// - Throws: `IOFailure` if there is none; what `send` throws.
  func read(
    _ key: String, at offset: UInt64, into room: UnsafeMutableRawBufferPointer
  ) throws -> UInt64 {
    let last = offset + UInt64(room.count) - 1
    let reply = try send(
      Request(
        operation: "read", method: .get, key: key,
        headers: [.init(name: "range", value: "bytes=\(offset)-\(last)")], target: .buffer(room),
        accepted: [404, 416]))
    if reply.response.status == 404 { throw try missing(key, reply.response) }
    // It ends before the part: it is not as long as it should be.
    if reply.response.status == 416 { return reply.response.totalBytes ?? 0 }
    guard reply.response.status == 206, reply.response.bytesTaken == room.count,
      let range = reply.response.headers["content-range"],
      range.hasPrefix("bytes \(offset)-\(last)/"), let whole = reply.response.totalBytes
    else { throw notAPart(key) }
    return whole
  }

  /// That there is no such object; another error if there is no such bucket.
  func missing(_ key: String, _ response: HTTPResponse) throws -> IOFailure {
    let error = S3Error("read", place(key), response)
    guard error.isNotFound else { throw error }
    return IOFailure(.open, "open", place(key), .noSuchFileOrDirectory)
  }

  private func notAPart(_ key: String) -> S3Error {
    S3Error(
      "read", place(key), status: 200,
      "the server does not give the part that it is asked for; it has no ranges")
  }
}

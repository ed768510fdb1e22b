internal import ByteIO
internal import Storage

/// An object that is being written.
///
/// It is sent in one request if it fits into a part, else in parts that go up while it grows; and it
/// can be seen when it is finished, not before.
final class S3Writer: ObjectWriter {
  let path: String
  private(set) var offset: UInt64 = 0
  private let bucket: Bucket
  private let key: String
  private let pool: UploadPool
  private let uploads: KnownUploads
  private let replaces: Bool
  /// What is not sent yet: the buffer and the bytes in it.
  private var buffer: UnsafeMutableRawBufferPointer?
  private var count = 0
  private var upload: PartUpload?
  private var isFinished = false

  /// Begins an object.
  ///
  /// - Parameters:
  ///   - bucket: where.
  ///   - key: its key.
  ///   - pool: gives memory for its parts, and threads.
  ///   - uploads: is told of an upload in parts as long as it is under way.
  ///   - replaces: whether it may take the place of another.
  init(
    _ bucket: Bucket, _ key: String, _ pool: UploadPool, _ uploads: KnownUploads, replaces: Bool
  ) {
    (self.bucket, self.key, self.pool, self.uploads) = (bucket, key, pool, uploads)
    self.replaces = replaces
    path = bucket.place(key)
  }

  deinit { release() }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let room = try buffer ?? pool.take()
      buffer = room
      let part = rest.prefix(room.count - count)
      UnsafeMutableRawBufferPointer(rebasing: room[count...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
      count += part.count
      offset += UInt64(part.count)
      rest = rest.dropFirst(part.count)
      // The last part waits for the end: an object of one part needs no upload.
      if count == room.count, !rest.isEmpty { try send() }
    }
  }

  /// Sends what is in the buffer as a part.
  private func send() throws {
    guard let room = buffer else { return }
    let upload = try self.upload ?? PartUpload(bucket, key, pool, uploads)
    self.upload = upload
    buffer = nil
    defer { count = 0 }
    try upload.add(room, count: count)
  }

  func takeBack(to offset: UInt64) -> Bool {
    // What was sent cannot be taken back.
    let sent = self.offset - UInt64(count)
    guard offset >= sent else { return false }
    count = Int(offset - sent)
    self.offset = offset
    return true
  }

  func reader() -> (any ObjectReader)? { nil }

  func finish() throws {
    if upload == nil {
      let bytes = buffer.map { UnsafeRawBufferPointer(rebasing: $0[..<count]) }
      try bucket.put(
        key, bytes ?? UnsafeRawBufferPointer(start: nil, count: 0), onlyIfNew: !replaces)
    } else {
      if count > 0 { try send() }
      try upload?.complete(offset)
    }
    release()
    isFinished = true
  }

  func abort() {
    upload?.abort()
    upload = nil
    release()
    if isFinished { try? bucket.remove([key]) }
  }

  private func release() {
    if let buffer { pool.give(buffer) }
    buffer = nil
  }
}

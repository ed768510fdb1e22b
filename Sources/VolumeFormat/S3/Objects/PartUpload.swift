internal import ByteIO

/// An upload in parts, of which several are under way at once.
final class PartUpload: @unchecked Sendable {
  private let bucket: Bucket
  private let key: String
  private let pool: UploadPool
  private let uploads: KnownUploads
  private let id: String
  private let monitor = Monitor()
  /// What the server said of each part, by its number from 1; guarded, as all that follows.
  private var parts: [Int: (tag: String, crc: String)] = [:]
  private var begun = 0
  private var ended = 0
  private var failure: (any Error)?

  /// Begins one.
  ///
  /// - Throws: what `Bucket.send` does.
  init(_ bucket: Bucket, _ key: String, _ pool: UploadPool, _ uploads: KnownUploads) throws {
    (self.bucket, self.key, self.pool, self.uploads) = (bucket, key, pool, uploads)
    let reply = try bucket.send(
      .init(
        operation: "begin to upload", method: .post, key: key, query: [("uploads", "")],
        headers: [.init(name: "x-amz-checksum-algorithm", value: "CRC32")]))
    guard let id = XMLElement.parse(reply.response.body)?.text("UploadId"), !id.isEmpty else {
      throw S3Error(
        "begin to upload", bucket.place(key), status: 200, "the server's answer is not one of S3")
    }
    self.id = id
    uploads.add(id, key)
  }

  /// Sends a part, soon; the buffer goes back to the pool then.
  ///
  /// - Throws: why an earlier one failed; `ThreadRefused`.
  func add(_ buffer: UnsafeMutableRawBufferPointer, count: Int) throws {
    let number = monitor.update { () -> Int? in
      guard failure == nil else { return nil }
      begun += 1
      return begun
    }
    guard let number else {
      pool.give(buffer)
      return try check()
    }
    nonisolated(unsafe) let part = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    nonisolated(unsafe) let whole = buffer
    do {
      try pool.run {
        self.send(number, part)
        self.pool.give(whole)
      }
    } catch {
      monitor.update { begun -= 1 }
      pool.give(buffer)
      throw error
    }
  }

  /// Throws why a part failed, if one has.
  func check() throws {
    if let failure = monitor.update({ failure }) { throw failure }
  }

  private func send(_ number: Int, _ part: UnsafeRawBufferPointer) {
    // After a failure nobody needs the others.
    let isWanted = monitor.update { failure == nil }
    let result = Result {
      try isWanted ? sent(number, part) : nil
    }
    monitor.update {
      ended += 1
      do {
        if let answer = try result.get() { parts[number] = answer }
      } catch {
        failure = failure ?? error
      }
    }
  }

  private func sent(
    _ number: Int, _ part: UnsafeRawBufferPointer
  ) throws -> (tag: String, crc: String) {
    let crc = checksum(part)
    let reply = try bucket.send(
      .init(
        operation: "upload part \(number) of", method: .put, key: key,
        query: [("partNumber", "\(number)"), ("uploadId", id)],
        headers: [.init(name: "x-amz-checksum-crc32", value: crc)], body: part,
        isWanted: { self.monitor.update { self.failure == nil } }))
    guard let tag = reply.response.headers["etag"] else {
      throw S3Error(
        "upload part \(number) of", bucket.place(key), status: 200,
        "the server's answer has no ETag")
    }
    return (tag, crc)
  }

  private func waitForAll() { monitor.wait { ended == begun ? () : nil } }

  /// Makes an object of the parts.
  ///
  /// - Parameter bytes: how many there are in all.
  /// - Throws: why a part failed; what `Bucket.send` does.
  func complete(_ bytes: UInt64) throws {
    waitForAll()
    try check()
    let list = parts.sorted { $0.key < $1.key }.map { number, part in
      "<Part><PartNumber>\(number)</PartNumber><ETag>\(xmlText(part.tag))</ETag>"
        + "<ChecksumCRC32>\(part.crc)</ChecksumCRC32></Part>"
    }
    let body = Array(
      ("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        + list.joined() + "</CompleteMultipartUpload>").utf8)
    let operation = "complete the upload of"
    let place = bucket.place(key)
    do {
      _ = try body.withUnsafeBytes { bytes in
        try bucket.send(
          .init(
            operation: operation, method: .post, key: key, query: [("uploadId", id)], body: bytes)
        ) { response in
          // It is begun with a status of success, and may fail after that.
          guard XMLElement.parse(response.body)?.name != "CompleteMultipartUploadResult" else {
            return nil
          }
          var failure = S3Error(operation, place, response)
          if ["InternalError", "SlowDown", "ServiceUnavailable"].contains(failure.code) {
            failure.status = 503
          }
          return failure
        }
      }
    } catch let error as S3Error where error.status == 404 {
      // An upload that was completed by a try whose reply was lost is gone, and the object there.
      guard try bucket.size(key) == bytes else { throw error }
    }
    uploads.remove(id, key)
  }

  /// Gives it up: what was sent is removed, as far as the server can be reached.
  func abort() {
    monitor.update { failure = failure ?? CancellationError() }
    waitForAll()
    _ = try? bucket.abortUpload(key, id)
    uploads.remove(id, key)
  }
}

extension Bucket {
  /// Ends an upload and removes its parts; one that is not there is no failure.
  ///
  /// - Throws: what `send` does.
  func abortUpload(_ key: String, _ upload: String) throws {
    _ = try send(
      .init(
        operation: "abort the upload of", method: .delete, key: key,
        query: [("uploadId", upload)], accepted: [404]))
  }

  /// The size of an object; nil if there is none.
  ///
  /// - Throws: what `send` does.
  func size(_ key: String) throws -> UInt64? {
    let reply = try send(
      .init(operation: "look for", method: .head, key: key, accepted: [404]))
    guard reply.response.isSuccess else { return nil }
    return reply.response.headers["content-length"].flatMap(UInt64.init)
  }
}

/// The CRC-32 of bytes as S3 writes it: big-endian, in Base64.
func checksum(_ bytes: UnsafeRawBufferPointer) -> String {
  let value = CRC32.of(bytes)
  return base64([24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) })
}

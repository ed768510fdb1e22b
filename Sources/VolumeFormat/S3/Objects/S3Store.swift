package import ByteIO
internal import CCrypto
internal import Frames
package import Storage

/// A store in a bucket of S3, below a prefix.
///
/// The server must make an object on `If-None-Match: *` only where there is none, and its listings
/// must show what was made before: those of Amazon and of the servers in vol-s3(7) do.
package final class S3Store: Store {
  private let bucket: Bucket
  private let pool: UploadPool
  /// Of this process that are under way, and of others that were found unfinished.
  private let uploads = KnownUploads()

  /// Makes ready; asks nobody yet.
  package init(_ bucket: Bucket, _ options: UploadOptions = UploadOptions()) {
    self.bucket = bucket
    pool = UploadPool(options)
  }

  package var location: String { bucket.address.url }

  private func key(_ name: ObjectName) -> String { bucket.address.prefix + name.path }

  /// The prefix of a folder's objects.
  private func folder(_ name: String?) -> String {
    bucket.address.prefix + (name.map { $0 + "/" } ?? "")
  }

  // MARK: Reading

  package func read(_ name: ObjectName, maximum: Int) throws -> [UInt8]? {
    let key = key(name)
    do {
      let reply = try bucket.send(
        .init(
          operation: "read", method: .get, key: key, target: .bytes(maximum: maximum),
          accepted: [404]))
      guard reply.response.isSuccess else {
        _ = try bucket.missing(key, reply.response)
        return nil
      }
      return reply.response.body
    } catch let error as S3Error where error.isTooLong {
      throw FormatError(bucket.place(key), "it is over \(maximum) bytes long")
    }
  }

  package func open(_ name: ObjectName, bytes: UInt64?) throws -> any ObjectReader {
    try S3Reader(bucket, key(name), bytes: bytes)
  }

  // MARK: Listing

  package func names(in folder: String?) throws -> [String] {
    let prefix = self.folder(folder)
    var names: [String] = []
    func add(_ key: Substring) {
      // Names that begin with a dot are the store's own.
      if !key.isEmpty, !key.hasPrefix(".") { names.append(String(key)) }
    }
    try bucket.list(
      prefix, object: { add($0.key.dropFirst(prefix.count)) },
      folder: { if folder == nil { add($0.dropFirst(prefix.count).dropLast()) } })
    return names.sorted()
  }

  package func list(_ folder: String?) throws -> [StoredObject] {
    let prefix = self.folder(folder)
    var objects: [StoredObject] = []
    try bucket.list(
      prefix,
      object: { entry in
        guard let name = ObjectName(folder, String(entry.key.dropFirst(prefix.count))) else {
          return
        }
        objects.append(StoredObject(name: name, bytes: entry.bytes, modified: entry.modified))
      }, folder: { _ in })
    return objects.sorted { $0.name < $1.name }
  }

  // MARK: Writing

  package func prepare(_ folders: [String]) {}

  package func write(_ name: ObjectName) throws -> any ObjectWriter {
    S3Writer(bucket, key(name), pool, uploads, replaces: false)
  }

  package func create(_ name: ObjectName, _ bytes: [UInt8]) throws -> Creation {
    do {
      return try bytes.withUnsafeBytes {
        try bucket.create(key(name), $0).isMade ? .made : .exists
      }
    } catch let error as S3Error where error.mayBeDone {
      return .unsure(error)
    }
  }

  /// Asks for the same object twice, of which the second must be refused: a server that does not
  /// know the condition would let one commit take the place of another.
  package func canCreate(in folder: String?) throws -> Bool {
    let key = bucket.address.prefix + ".volpipe-condition"
    for _ in 0..<2 {
      let isMade = try bucket.create(key, UnsafeRawBufferPointer(start: nil, count: 0)).isMade
      if !isMade { return true }
    }
    return false
  }

  package func replace(_ name: ObjectName, _ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try bucket.put(key(name), $0, onlyIfNew: false) }
  }

  package func replace(_ name: ObjectName, with source: any ObjectReader) throws {
    let writer = S3Writer(bucket, key(name), pool, uploads, replaces: true)
    do {
      try source.forEachPart { try writer.append($0) }
      try writer.finish()
    } catch {
      writer.abort()
      throw error
    }
  }

  package func touch(_ name: ObjectName, _ bytes: [UInt8]) throws { try replace(name, bytes) }

  package func remove(_ names: [ObjectName]) throws {
    let keys = names.map(key)
    for key in keys {
      for upload in uploads.all(key) {
        try bucket.abortUpload(key, upload)
        uploads.remove(upload, key)
      }
    }
    try bucket.remove(keys)
  }

  package func flushRemovals(in folder: String) {}

  // MARK: Housekeeping

  package func unfinished(before: Double) throws -> [StoredObject] {
    let prefix = bucket.address.prefix
    return try bucket.uploads(prefix).compactMap { entry in
      guard entry.modified < before, let upload = entry.upload,
        let name = ObjectName(path: String(entry.key.dropFirst(prefix.count)))
      else { return nil }
      uploads.add(upload, entry.key)
      return StoredObject(name: name, bytes: 0, modified: entry.modified)
    }
  }

  package func now() throws -> Double {
    if let now = bucket.clock.now() { return now }
    _ = try bucket.send(.init(operation: "reach", method: .head, key: ""))
    guard let now = bucket.clock.now() else {
      throw S3Error("reach", location, status: 200, "the server's answers have no date")
    }
    return now
  }

  package func scratch() -> OutputFile? { nil }
}

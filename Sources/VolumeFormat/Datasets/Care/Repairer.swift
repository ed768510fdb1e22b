internal import Storage
internal import Chunks
internal import Frames
internal import ByteIO

/// Takes whole files from another copy of a dataset, where those of this one are missing or damaged.
///
/// A file is taken only if its digest, and its size where that is recorded, are those that documents
/// of this copy name. One that is sound is left alone.
public struct Repairer {
  /// What became of a file that is missing or damaged.
  public struct Outcome: Sendable {
    /// Its path, relative to the dataset.
    public var path: String
    /// Its size.
    public var bytes: UInt64
    /// Why it could not be taken; nil if it was.
    public var failure: (any Error)?
  }

  private let dataset: Dataset
  private let other: Dataset
  private let report: (Outcome) -> Void

  /// Prepares a repair.
  ///
  /// - Parameters:
  ///   - dataset: the copy that is repaired.
  ///   - other: another copy of it.
  ///   - report: gets each file that is not sound.
  /// - Throws: `FormatError` if they are not copies of one dataset.
  public init(
    _ dataset: Dataset, from other: Dataset, _ report: @escaping (Outcome) -> Void
  ) throws {
    guard dataset.id == other.id else {
      throw FormatError(other.path, "it is no copy of '\(dataset.path)' but another dataset")
    }
    self.dataset = dataset
    self.other = other
    self.report = report
  }

  /// Repairs the manifests, and the files of snapshot `number`, the last if nil.
  ///
  /// - Throws: `IOFailure` only where a folder cannot be listed.
  public func run(snapshot number: UInt64?) throws {
    try repairManifests()
    guard let manifest = try? dataset.manifest(number) else { return }
    for entry in manifest.files where !isSound(entry) {
      attempt(entry.name, entry.bytes) { try take(entry) }
    }
  }

  private func attempt(_ name: ObjectName, _ bytes: UInt64, _ body: () throws -> Void) {
    do {
      try body()
      report(Outcome(path: name.path, bytes: bytes, failure: nil))
    } catch {
      report(Outcome(path: name.path, bytes: bytes, failure: error))
    }
  }

  // MARK: Manifests

  /// The digest of a manifest is in the one after it, and in `HEAD`.
  private func repairManifests() throws {
    let own = try dataset.snapshotNumbers()
    let hint = hint()
    guard let last = [own.last, hint?.number].compactMap(\.self).max() else { return }
    // What is missing before the first, vol-gc may have removed.
    let first = own.first ?? last
    var digest = hint?.number == last ? hint?.sha256 : nil
    var number = last
    while true {
      let name = Layout.manifest(number)
      var bytes = try? dataset.manifestBytes(number)
      // One that is whole in itself is a snapshot, if perhaps another's: it is not lost here.
      if !isManifest(bytes, number), let wanted = digest {
        let found = try? other.manifestBytes(number)
        attempt(name, UInt64(found?.count ?? 0)) {
          guard let found = try other.manifestBytes(number) else {
            throw IOFailure(.open, "open", other.place(name), .noSuchFileOrDirectory)
          }
          guard SHA256.digits(of: found) == wanted else {
            throw FormatError(other.place(name), "it is not the manifest that is wanted")
          }
          try dataset.store.replace(name, found)
          bytes = found
        }
      }
      digest = bytes.flatMap { try? dataset.decodeManifest($0, number).parent?.sha256 }
      guard number > first else { return }
      number -= 1
      if let hint, hint.number == number { digest = digest ?? hint.sha256 }
    }
  }

  private func isManifest(_ bytes: [UInt8]?, _ number: UInt64) -> Bool {
    bytes.map { (try? dataset.decodeManifest($0, number)) != nil } ?? false
  }

  /// The snapshot that `HEAD` names, if it can be read.
  private func hint() -> (number: UInt64, sha256: String)? {
    guard let bytes = try? dataset.hint() else { return nil }
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    guard parts.count == 2, let number = UInt64(parts[0]),
      (1...Layout.maximumSnapshot).contains(number)
    else { return nil }
    let digest = String(parts[1].prefix(64))
    return Names.isHexadecimal(digest, count: 64) && parts[1] == "\(digest)\n"
      ? (number, digest) : nil
  }

  // MARK: Files

  private func isSound(_ entry: FileEntry) -> Bool {
    (try? dataset.open(entry)) != nil && (try? dataset.checkDigest(of: entry)) != nil
  }

  private func take(_ entry: FileEntry) throws {
    let source = try other.open(entry)
    guard try FileSeal(of: source).sha256 == entry.sha256 else {
      throw FormatError(source.path, "it does not match the SHA-256 that was recorded either")
    }
    try dataset.store.replace(entry.name, with: source)
    try dataset.checkDigest(
      of: entry, consequence: ", as it was written; it is taken again next time")
  }
}

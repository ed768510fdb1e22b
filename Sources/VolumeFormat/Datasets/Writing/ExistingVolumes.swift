internal import Frames
internal import ByteIO

/// The volumes that a dataset holds already, to be compared with those of a stream.
///
/// They are those of the snapshot that was current when the stream came. What it needs may go while
/// the stream lasts, when a stage is given up or an old snapshot collected; then the current one is
/// looked into.
final class ExistingVolumes {
  /// A volume with a certain id.
  struct Match {
    var stage: Stage
    var record: CatalogRecord
    /// Whether the snapshot holds it, and not a finished stage only.
    var isCommitted: Bool
  }

  /// Why records of what is staged cannot be read, whose volumes are not known therefore.
  let unread: [any Error]
  /// The collections of the snapshot.
  let collections: Set<ExactString>
  private let dataset: Dataset
  private let withStaged: Bool
  private var committed: CatalogSet
  private var pending: CatalogSet
  private var volumes: VolumeOpener

  /// Looks into the stages of the current snapshot, and into finished ones if they are wanted.
  ///
  /// - Throws: `FormatError` for a damaged dataset; `IOFailure`.
  init(_ dataset: Dataset, withStaged: Bool) throws {
    self.dataset = dataset
    self.withStaged = withStaged
    let current = try Current(dataset, withStaged: withStaged)
    unread = current.pending.damage
    collections = Set(current.committed.map(\.collection))
    committed = CatalogSet(dataset, current.committed)
    pending = CatalogSet(dataset, current.pending.stages)
    volumes = VolumeOpener(dataset)
  }

  /// The stage that holds an id, the snapshot's before a finished one.
  ///
  /// - Throws: `FormatError` for damage; `IOFailure`.
  func stage(holding key: TextDigest) throws -> Stage? {
    try look { try committed.stage(holding: key) ?? pending.stage(holding: key) }
  }

  /// The volume with an id, one of a finished stage before the snapshot's, whose place it may take.
  ///
  /// - Throws: `FormatError` for damage; `IOFailure`.
  func match(_ key: TextDigest) throws -> (Match, StoredVolume)? {
    try look {
      if let (stage, record) = try pending.record(key) {
        let match = Match(stage: stage, record: record, isCommitted: false)
        return (match, try volumes.open(record, of: stage))
      }
      guard let (stage, record) = try committed.record(key) else { return nil }
      let match = Match(stage: stage, record: record, isCommitted: true)
      return (match, try volumes.open(record, of: stage))
    }
  }

  /// What the dataset holds now.
  private struct Current {
    var committed: [Stage]
    var pending = Dataset.Pending()

    init(_ dataset: Dataset, withStaged: Bool) throws {
      let manifest = try dataset.manifest()
      committed = manifest?.stages ?? []
      if withStaged { pending = try dataset.pending(besides: manifest, withTables: false) }
    }
  }

  /// Looks, and again for as long as the stages that failed it are others by then.
  private func look<T>(_ body: () throws -> T) throws -> T {
    while true {
      let result = Result(catching: body)
      if case .failure = result, try isOutdated() { continue }
      return try result.get()
    }
  }

  /// Turns to the stages that are there now; false if they are the same, of which a catalog tells: a
  /// removal makes another for the same stage.
  private func isOutdated() throws -> Bool {
    let current = try Current(dataset, withStaged: withStaged)
    guard
      current.committed.map(\.catalog.name) != committed.stages.map(\.catalog.name)
        || current.pending.stages.map(\.catalog.name) != pending.stages.map(\.catalog.name)
    else { return false }
    committed = CatalogSet(dataset, current.committed)
    pending = CatalogSet(dataset, current.pending.stages)
    volumes = VolumeOpener(dataset)
    return true
  }
}

/// Whether a volume of a stream is the same as one that is stored: its shape, type and channels, the
/// source bytes that are not voxels, and the CRC-32 of the voxels.
final class VolumeComparison {
  private let stored: StoredVolume
  private let hasSameForm: Bool
  /// Whether subject and attributes, which do not count, are the same.
  let hasSameAttributes: Bool
  private let before = SHA256()
  private let after = SHA256()

  init(_ header: VolumeHeader, with stored: StoredVolume) {
    self.stored = stored
    hasSameAttributes =
      header.attributes ?? JSONObject() == stored.header.attributes ?? JSONObject()
      && header.obsSubjectID == stored.header.obsSubjectID
    hasSameForm =
      header.shape == stored.header.shape && header.dtype == stored.header.dtype
      && header.channels == stored.header.channels
  }

  /// Takes source bytes of the stream's volume.
  func extra(_ bytes: [UInt8], afterVoxels: Bool) {
    bytes.withUnsafeBytes { (afterVoxels ? after : before).update($0) }
  }

  /// Whether they are the same, once all of the stream's volume has come.
  func isSame(crc32: UInt32) throws -> Bool {
    guard hasSameForm, crc32 == stored.record.crc32 else { return false }
    let (ownBefore, ownAfter) = (SHA256(), SHA256())
    for extra in stored.record.extras {
      try stored.extra(extra).withUnsafeBytes {
        (extra.afterVoxels ? ownAfter : ownBefore).update($0)
      }
    }
    return before.digest() == ownBefore.digest() && after.digest() == ownAfter.digest()
  }
}

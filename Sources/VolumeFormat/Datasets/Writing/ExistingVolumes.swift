internal import Frames
internal import ByteIO

/// The volumes that a dataset holds already, to be compared with those of a stream.
final class ExistingVolumes {
  /// A volume with a certain id.
  struct Match {
    var stage: Stage
    var record: CatalogRecord
    /// Whether the current snapshot holds it, and not a finished stage only.
    var isCommitted: Bool
  }

  private let committed: CatalogSet
  private let pending: CatalogSet
  private let volumes: VolumeOpener

  /// Looks into the stages of the current snapshot and into finished ones.
  init(_ dataset: Dataset, committed: [Stage], pending: [Stage]) {
    self.committed = CatalogSet(dataset, committed)
    self.pending = CatalogSet(dataset, pending)
    volumes = VolumeOpener(dataset)
  }

  /// The stage that holds an id, the current snapshot's before a finished one.
  func stage(holding key: TextDigest) throws -> Stage? {
    try committed.stage(holding: key) ?? pending.stage(holding: key)
  }

  /// The volume with an id, one of a finished stage before the snapshot's, whose place it may take.
  func match(_ key: TextDigest) throws -> Match? {
    if let (stage, record) = try pending.record(key) {
      return Match(stage: stage, record: record, isCommitted: false)
    }
    return try committed.record(key).map {
      Match(stage: $0.0, record: $0.1, isCommitted: true)
    }
  }

  /// Begins to compare a volume with one that is there.
  func compare(_ header: VolumeHeader, with match: Match) throws -> VolumeComparison {
    VolumeComparison(header, with: try volumes.open(match.record, of: match.stage))
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

internal import Frames
internal import ByteIO

/// Writes catalogs of committed stages anew, without volumes that are to be removed.
///
/// What is written for a snapshot that another committer then made impossible is kept for the next
/// try, and removed if it is of no use.
final class CatalogReviser {
  private struct Revision {
    var keys: Set<TextDigest>
    /// Nil if no volume is left.
    var stage: Stage?
  }

  private let dataset: Dataset
  /// By the path of the catalog that was revised.
  private var revisions: [String: Revision] = [:]

  init(_ dataset: Dataset) { self.dataset = dataset }

  /// `stage` without the volumes of these keys, which it holds; nil if that is all of them.
  func revise(_ stage: Stage, without keys: Set<TextDigest>) throws -> Stage? {
    if let known = revisions[stage.catalog.path], known.keys == keys { return known.stage }
    let result = try write(stage, without: keys)
    if let old = revisions.updateValue(
      Revision(keys: keys, stage: result), forKey: stage.catalog.path)
    {
      try remove(old)
    }
    return result
  }

  /// Removes what was written and is not in `stages`.
  func removeUnused(besides stages: [Stage]) throws {
    let used = Set(stages.map(\.catalog.path))
    for revision in revisions.values
    where revision.stage.map({ !used.contains($0.catalog.path) }) == true {
      try remove(revision)
    }
  }

  private func remove(_ revision: Revision) throws {
    if let path = revision.stage?.catalog.path { try Publishing.remove(dataset.file(path)) }
  }

  private func write(_ stage: Stage, without keys: Set<TextDigest>) throws -> Stage? {
    let old = try dataset.catalog(stage)
    // What is copied gets a digest of its own: damage would be sealed with it.
    try dataset.checkDigest(of: stage.catalog, consequence: "; nothing is made of it")
    guard UInt64(keys.count) < old.count else { return nil }
    let path = Layout.revision(randomIdentifier(), of: stage.stage)
    let writer = try CatalogWriter(creating: dataset.file(path), stage: stage.stage)
    var result = stage
    do {
      result.rawBytes = 0
      try old.forEachRecord { record in
        guard !keys.contains(TextDigest(record.obsID)) else { return true }
        try writer.append(record)
        let (sum, overflow) = result.rawBytes.addingReportingOverflow(record.rawBytes)
        guard !overflow else { throw FormatError(old.path, "its volumes have too many bytes") }
        result.rawBytes = sum
        return true
      }
      result.volumes = UInt64(writer.count)
      guard result.volumes == old.count - UInt64(keys.count) else {
        throw FormatError(old.path, "its index and its records disagree")
      }
      let seal = try writer.finish()
      try Publishing.syncDirectory(dataset.file(Layout.catalogs))
      result.catalog = FileEntry(path: path, bytes: seal.bytes, sha256: seal.sha256)
      // Catalog and packs: what the stage takes, now as before.
      result.storedBytes = result.packs.reduce(seal.bytes) { $0 &+ $1.bytes }
      return result
    } catch {
      try? Publishing.remove(dataset.file(path))
      throw error
    }
  }
}

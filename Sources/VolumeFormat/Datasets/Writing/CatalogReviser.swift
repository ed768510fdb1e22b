internal import Storage
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
  /// By the catalog that was revised.
  private var revisions: [ObjectName: Revision] = [:]

  init(_ dataset: Dataset) { self.dataset = dataset }

  /// `stage` without the volumes of these keys, which it holds; nil if that is all of them.
  func revise(_ stage: Stage, without keys: Set<TextDigest>) throws -> Stage? {
    if let known = revisions[stage.catalog.name], known.keys == keys { return known.stage }
    let result = try write(stage, without: keys)
    if let old = revisions.updateValue(
      Revision(keys: keys, stage: result), forKey: stage.catalog.name)
    {
      try remove(old)
    }
    return result
  }

  /// Removes what was written and is not in `stages`.
  func removeUnused(besides stages: [Stage]) throws {
    let used = Set(stages.map(\.catalog.name))
    for revision in revisions.values
    where revision.stage.map({ !used.contains($0.catalog.name) }) == true {
      try remove(revision)
    }
  }

  private func remove(_ revision: Revision) throws {
    if let name = revision.stage?.catalog.name { try dataset.store.remove([name]) }
  }

  private func write(_ stage: Stage, without keys: Set<TextDigest>) throws -> Stage? {
    let old = try dataset.catalog(stage)
    // What is copied gets a digest of its own: damage would be sealed with it.
    try dataset.checkDigest(of: stage.catalog, consequence: "; nothing is made of it")
    guard UInt64(keys.count) < old.count else { return nil }
    let name = Layout.revision(dataset.session.identifier(), of: stage.stage)
    let writer = try CatalogWriter(name, in: dataset.store, stage: stage.stage)
    var result = stage
    do {
      result.rawBytes = 0
      try old.forEachRecord { found in
        let record = found.keyed()
        guard !keys.contains(record.key) else { return true }
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
      result.catalog = try writer.finish()
      // Catalog and packs: what the stage takes, now as before.
      result.storedBytes = result.packs.reduce(result.catalog.bytes) { $0 &+ $1.bytes }
      return result
    } catch {
      writer.abort()
      throw error
    }
  }
}

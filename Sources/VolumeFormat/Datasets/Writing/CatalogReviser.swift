internal import Storage
internal import Frames
internal import ByteIO

/// Writes catalogs of committed stages anew, without volumes that are to be removed.
final class CatalogReviser {
  private struct Source: Hashable {
    var catalog: ObjectName
    var keys: Set<TextDigest>
  }

  private let dataset: Dataset
  private let drafts: Drafts<Source, Stage?>

  init(_ dataset: Dataset) {
    self.dataset = dataset
    drafts = Drafts(in: dataset.store)
  }

  /// `stage` without the volumes of these keys, which it holds; nil if that is all of them.
  ///
  /// - Throws: `FormatError` if its catalog is damaged; `IOFailure`.
  func revise(_ stage: Stage, without keys: Set<TextDigest>) throws -> Stage? {
    try drafts.draft(of: Source(catalog: stage.catalog.name, keys: keys)) {
      let revised = try write(stage, without: keys)
      return (revised, revised?.catalog.name)
    }
  }

  /// Removes what was written and is not in `stages`.
  ///
  /// - Throws: `IOFailure`.
  func removeUnused(besides stages: [Stage]) throws {
    try drafts.removeUnused(besides: Set(stages.map(\.catalog.name)))
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

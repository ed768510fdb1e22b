internal import Frames
public import ByteIO

/// What one snapshot of a dataset has that another has not.
///
/// Costs what the catalogs have that are not in both; memory does not depend on the number of
/// volumes.
public struct SnapshotDiff {
  /// How a volume differs.
  public enum Change: String, Sendable {
    case removed = "-"
    case added = "+"
    /// Other bytes under the same id.
    case changed = "~"
  }

  private let dataset: Dataset
  private let old: Manifest
  private let new: Manifest

  /// Compares two snapshots of `dataset`.
  public init(_ dataset: Dataset, from old: Manifest, to new: Manifest) {
    self.dataset = dataset
    self.old = old
    self.new = new
  }

  /// Visits every volume that differs: those removed or changed in the order of the older snapshot,
  /// then those added in the order of the newer.
  ///
  /// - Throws: `FormatError` for damage; `IOFailure`; what `body` throws.
  public func forEach(
    _ body: (Change, _ collection: ExactString, _ obsID: ExactString) throws -> Void
  ) throws {
    let oldOnly = Self.stages(of: old, besides: new)
    let newOnly = Self.stages(of: new, besides: old)
    let others = CatalogSet(dataset, newOnly)
    for stage in oldOnly {
      try dataset.catalog(stage).forEachRecord { record in
        guard let (owner, twin) = try others.record(record.key) else {
          try body(.removed, stage.collection, record.obsID)
          return true
        }
        // A revised catalog points to the same places in the same stage's packs.
        let isSame =
          owner.stage == stage.stage && twin.pack == record.pack
          && twin.shardOffset == record.shardOffset
        if !isSame { try body(.changed, owner.collection, record.obsID) }
        return true
      }
    }
    let earlier = CatalogSet(dataset, oldOnly)
    for stage in newOnly {
      try dataset.catalog(stage).forEachRecord { record in
        if try earlier.stage(holding: record.key) == nil {
          try body(.added, stage.collection, record.obsID)
        }
        return true
      }
    }
  }

  private static func stages(of one: Manifest, besides other: Manifest) -> [Stage] {
    let common = Set(other.stages.map(\.catalog.name))
    return one.stages.filter { !common.contains($0.catalog.name) }
  }
}

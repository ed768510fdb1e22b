internal import Frames
public import ByteIO

/// One snapshot of a dataset, for reading.
public final class Snapshot {
  /// The dataset.
  public let dataset: Dataset
  /// The manifest.
  public let manifest: Manifest
  /// The catalogs of each collection, and of all, in which anything was looked for.
  private var catalogs: [ExactString?: CatalogSet] = [:]

  /// Opens snapshot `number`, or the last one; nil if there is none.
  ///
  /// - Throws: `FormatError` if its manifest is damaged; `IOFailure`.
  public init?(_ dataset: Dataset, number: UInt64? = nil) throws {
    guard let manifest = try dataset.manifest(number) else { return nil }
    self.dataset = dataset
    self.manifest = manifest
  }

  /// Visits the volumes of a collection, or of all, in catalog order.
  ///
  /// Stages come in the order in which they were committed, and in each the volumes in the order
  /// in which they were written.
  ///
  /// - Parameters:
  ///   - collection: its name; nil for all.
  ///   - onDamage: if given, gets each error of a catalog with the number of volumes that it costs,
  ///     and the visit goes on behind it.
  ///   - body: returns false to stop.
  /// - Throws: `FormatError` for damage that nobody takes; `IOFailure`; what the closures throw.
  public func forEachVolume(
    collection: ExactString? = nil, onDamage: ((any Error, UInt64) throws -> Void)? = nil,
    _ body: (Stage, CatalogRecord) throws -> Bool
  ) throws {
    var goesOn = true
    for stage in manifest.stages where goesOn && collection ?? stage.collection == stage.collection
    {
      let opened = Result { try dataset.catalog(stage) }
      if let onDamage, case .failure(let error) = opened {
        try onDamage(error, stage.volumes)
        continue
      }
      try opened.get().forEachRecord(onDamage: onDamage) { record in
        goesOn = try body(stage, record)
        return goesOn
      }
    }
  }

  /// Compares the digests of the catalogs of a collection, or of all, with those recorded.
  ///
  /// Who makes other files of what catalogs say does this first.
  ///
  /// - Throws: `FormatError` for the first that is another; `IOFailure`.
  public func checkCatalogs(of collection: ExactString? = nil) throws {
    for stage in manifest.stages where collection ?? stage.collection == stage.collection {
      try dataset.checkDigest(of: stage.catalog)
    }
  }

  /// The volume `obsID` of a collection; nil if it has none of that name.
  ///
  /// - Throws: `FormatError` for a damaged catalog; `IOFailure`.
  public func volume(_ obsID: ExactString, collection: ExactString) throws -> (
    Stage, CatalogRecord
  )? {
    try catalogs(of: collection).record(TextDigest(obsID))
  }

  /// The catalogs of a collection, or of all if nil, which stay open.
  func catalogs(of collection: ExactString?) -> CatalogSet {
    if let known = catalogs[collection] { return known }
    let stages = manifest.stages.filter { $0.collection == collection ?? $0.collection }
    let set = CatalogSet(dataset, stages)
    catalogs[collection] = set
    return set
  }
}

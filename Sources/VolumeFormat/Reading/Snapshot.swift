internal import ByteIO

/// One snapshot of a dataset, for reading.
public final class Snapshot {
  /// The dataset.
  public let dataset: Dataset
  /// The manifest.
  public let manifest: Manifest
  private var openPack: (path: String, file: InputFile)?

  /// Opens snapshot `number`, or the last one; nil if there is none.
  public init?(_ dataset: Dataset, number: UInt64? = nil) throws {
    guard let manifest = try dataset.manifest(number) else { return nil }
    self.dataset = dataset
    self.manifest = manifest
  }

  /// Visits the volumes of a collection, or of all, in catalog order.
  ///
  /// Stages come in the order in which they were committed, and in each the volumes in the order
  /// in which they were written. `body` returns false to stop.
  public func forEachVolume(
    collection: String? = nil, _ body: (Stage, CatalogRecord) throws -> Bool
  ) throws {
    var goesOn = true
    for stage in manifest.stages where goesOn && collection ?? stage.collection == stage.collection
    {
      try dataset.catalog(stage).forEachRecord { record in
        goesOn = try body(stage, record)
        return goesOn
      }
    }
  }

  /// The volume `obsID` of a collection; nil if it has none of that name.
  public func volume(_ obsID: String, collection: String) throws -> (Stage, CatalogRecord)? {
    let stages = manifest.stages.filter { $0.collection == collection }
    return try CatalogSet(dataset, stages).record(obsID)
  }

  /// Opens a volume of this snapshot.
  func open(_ record: CatalogRecord, of stage: Stage) throws -> StoredVolume {
    guard stage.packs.indices.contains(record.pack) else {
      throw FormatError(
        dataset.file(stage.catalog.path),
        "volume '\(record.obsID)' lies in pack \(record.pack), which its stage lacks")
    }
    let entry = stage.packs[record.pack]
    let path = dataset.file(entry.path)
    let pack: InputFile
    if let openPack, openPack.path == path {
      pack = openPack.file
    } else {
      pack = try InputFile(path)
      try FileHeader.check(pack, FileHeader.pack, stage: stage.stage, number: record.pack)
      guard try pack.size() == entry.bytes else {
        throw FormatError(path, "its size is not \(entry.bytes) bytes, as recorded")
      }
      openPack = (path, pack)
    }
    let header = try record.header(in: dataset.file(stage.catalog.path))
    return try StoredVolume(record, header: header, pack: pack, packBytes: entry.bytes)
  }
}

/// The catalogs of several stages, looked through for one id.
final class CatalogSet {
  /// So many catalogs are kept open; the others are opened for each look.
  private static let maximumOpen = 200

  private let dataset: Dataset
  private let stages: [Stage]
  private var readers: [Int: CatalogReader] = [:]

  init(_ dataset: Dataset, _ stages: [Stage]) {
    self.dataset = dataset
    self.stages = stages
  }

  /// The first stage that holds the id with `key`.
  func stage(holding key: CatalogKey) throws -> Stage? {
    for index in stages.indices where try reader(index).blockOffset(of: key) != nil {
      return stages[index]
    }
    return nil
  }

  /// The record of `obsID` and its stage.
  func record(_ obsID: String) throws -> (Stage, CatalogRecord)? {
    for index in stages.indices {
      if let record = try reader(index).record(obsID) { return (stages[index], record) }
    }
    return nil
  }

  private func reader(_ index: Int) throws -> CatalogReader {
    if let reader = readers[index] { return reader }
    let reader = try dataset.catalog(stages[index])
    if readers.count < Self.maximumOpen { readers[index] = reader }
    return reader
  }
}

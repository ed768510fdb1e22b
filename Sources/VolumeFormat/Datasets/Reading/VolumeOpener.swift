internal import Storage
internal import Frames
internal import ByteIO

/// Opens stored volumes; keeps the packs of the last ones open, since they mostly share them.
final class VolumeOpener {
  private let dataset: Dataset
  private let maximumOpen: Int
  private var packs: [(name: ObjectName, file: any ObjectReader)] = []

  /// Opens volumes of `dataset`; up to `maximumOpen` packs stay open.
  init(_ dataset: Dataset, maximumOpen: Int = 1) {
    self.dataset = dataset
    self.maximumOpen = maximumOpen
  }

  /// Opens a volume of `stage`: its record, its pack and its shard's index are checked.
  ///
  /// - Throws: `FormatError` that names the volume; `IOFailure`.
  func open(_ record: CatalogRecord, of stage: Stage) throws -> StoredVolume {
    guard stage.packs.indices.contains(record.pack) else {
      throw FormatError(
        dataset.name(of: stage.catalog), volume: record.obsID.string,
        "it lies in pack \(record.pack), which its stage lacks")
    }
    let entry = stage.packs[record.pack]
    let pack: any ObjectReader
    if let known = packs.first(where: { $0.name == entry.name }) {
      pack = known.file
    } else {
      pack = try dataset.open(entry)
      try FileHeader.check(pack, FileHeader.pack, stage: stage.stage, number: record.pack)
      if packs.count == maximumOpen { packs.removeFirst() }
      packs.append((entry.name, pack))
    }
    let header = try record.header(in: dataset.name(of: stage.catalog))
    return try StoredVolume(record, header: header, pack: pack)
  }
}

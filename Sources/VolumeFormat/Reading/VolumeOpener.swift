internal import ByteIO

/// Opens stored volumes; keeps the pack of the last one open, since they mostly share one.
final class VolumeOpener {
  private let dataset: Dataset
  private var openPack: (path: String, file: InputFile)?

  init(_ dataset: Dataset) { self.dataset = dataset }

  /// Opens a volume of `stage`: its record, its pack and its shard's index are checked.
  ///
  /// - Throws: `FormatError` that names the volume; `IOFailure`.
  func open(_ record: CatalogRecord, of stage: Stage) throws -> StoredVolume {
    guard stage.packs.indices.contains(record.pack) else {
      throw FormatError(
        dataset.file(stage.catalog.path), volume: record.obsID,
        "it lies in pack \(record.pack), which its stage lacks")
    }
    let entry = stage.packs[record.pack]
    let path = dataset.file(entry.path)
    let pack: InputFile
    if let openPack, openPack.path == path {
      pack = openPack.file
    } else {
      pack = try InputFile.recorded(path, bytes: entry.bytes)
      try FileHeader.check(pack, FileHeader.pack, stage: stage.stage, number: record.pack)
      openPack = (path, pack)
    }
    let header = try record.header(in: dataset.file(stage.catalog.path))
    return try StoredVolume(record, header: header, pack: pack, packBytes: entry.bytes)
  }
}

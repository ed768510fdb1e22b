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

  /// Where the index of a shard lies, if it is no longer than usual.
  private static func index(of record: CatalogRecord) -> Range<UInt64> {
    let (end, overflow) = record.shardOffset.addingReportingOverflow(record.shardLength)
    return overflow ? 0..<0 : end - min(record.shardLength, 16 << 10)..<end
  }

  /// Opens a volume of `stage`: its record, its pack and its shard's index are checked.
  ///
  /// - Throws: `FormatError` that names the volume; `IOFailure`.
  func open(_ record: CatalogRecord, of stage: Stage) throws -> StoredVolume {
    let pack = try pack(of: record, stage) { [Self.index(of: record)] }
    let header = try record.header(in: dataset.name(of: stage.catalog))
    return try StoredVolume(record, header: header, pack: pack)
  }

  /// Says that volumes will be opened and read whole, one after the other.
  ///
  /// What is wrong with them is found when they are opened.
  func expect(_ volumes: [(record: CatalogRecord, stage: Stage)]) {
    var rest = volumes[...]
    while let (first, stage) = rest.first {
      let together = rest.prefix { $0.record.pack == first.pack && $0.stage.stage == stage.stage }
      rest = rest.dropFirst(together.count)
      _ = try? pack(of: first, stage) {
        together.map {
          let (end, overflow) = $0.record.shardOffset.addingReportingOverflow($0.record.shardLength)
          return overflow ? 0..<0 : $0.record.shardOffset..<end
        }
      }
    }
  }

  /// The pack of a volume; what will be read of it is told to one that is far.
  private func pack(
    of record: CatalogRecord, _ stage: Stage, expecting ranges: () -> [Range<UInt64>]
  ) throws -> any ObjectReader {
    guard stage.packs.indices.contains(record.pack) else {
      throw FormatError(
        dataset.name(of: stage.catalog), volume: record.obsID.string,
        "it lies in pack \(record.pack), which its stage lacks")
    }
    let entry = stage.packs[record.pack]
    if let known = packs.first(where: { $0.name == entry.name }) {
      if known.file.isFar { known.file.prefetch(ranges()) }
      return known.file
    }
    let pack = try dataset.open(entry)
    if pack.isFar { pack.prefetch([0..<UInt64(FileHeader.size)] + ranges()) }
    try FileHeader.check(pack, FileHeader.pack, stage: stage.stage, number: record.pack)
    if packs.count == maximumOpen { packs.removeFirst() }
    packs.append((entry.name, pack))
    return pack
  }
}

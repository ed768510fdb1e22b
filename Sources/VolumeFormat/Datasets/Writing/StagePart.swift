internal import Frames
internal import ByteIO

/// What one run of `vol-write` writes for one collection: packs and a catalog, a stage of its own.
final class StagePart {
  let stage = randomIdentifier()
  let collection: ExactString
  let sink: ShardSink
  /// Whether a volume takes the place of another.
  var replaces = false
  private let dataset: Dataset
  private let packs: PackSet
  private let catalogPath: String
  private var seal: FileSeal?

  init(
    _ dataset: Dataset, _ collection: ExactString, packSize: UInt64, unfinished: UnfinishedFiles
  ) throws {
    self.dataset = dataset
    self.collection = collection
    let stage = self.stage
    packs = PackSet(stage: stage, packSize: packSize, unfinished: unfinished) {
      dataset.file(Layout.pack(stage, $0))
    }
    let path = dataset.file(Layout.catalog(stage))
    catalogPath = path
    sink = ShardSink(
      packs: packs,
      catalog: try unfinished.making(path) { try CatalogWriter(creating: path, stage: stage) })
  }

  /// Whether no volume came into it; its files are of no use then.
  var isEmpty: Bool { sink.catalog.count == 0 }

  /// Flushes and closes its files.
  func finish() throws {
    seal = try sink.catalog.finish()
    try packs.finish()
  }

  /// Removes its files.
  func remove() throws {
    for path in packs.paths + [catalogPath] { try Publishing.remove(path) }
  }

  /// Its record, once it is finished.
  func record(_ options: StageOptions, of run: Stage.Run?) -> Stage {
    func entry(_ path: String, _ seal: FileSeal) -> FileEntry {
      FileEntry(path: path, bytes: seal.bytes, sha256: seal.sha256)
    }
    guard let seal else { preconditionFailure("it is not finished") }
    return Stage(
      stage: stage, collection: collection, created: timestamp(), tool: options.tool,
      volumes: UInt64(sink.catalog.count), rawBytes: sink.rawBytes,
      storedBytes: packs.seals.reduce(seal.bytes) { $0 + $1.bytes },
      codec: CodecInfo(
        level: options.level, shuffle: options.shuffle, chunk: options.chunk.description),
      catalog: entry(Layout.catalog(stage), seal),
      packs: packs.seals.enumerated().map { entry(Layout.pack(stage, $0), $1) },
      replaces: replaces ? true : nil, run: run)
  }
}

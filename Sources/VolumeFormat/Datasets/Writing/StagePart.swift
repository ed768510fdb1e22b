internal import Storage
internal import Frames
internal import ByteIO

/// What one run of `vol-write` writes for one collection: packs and a catalog, a stage of its own.
final class StagePart {
  let stage: String
  let collection: ExactString
  let sink: ShardSink
  /// Whether a volume takes the place of another.
  var replaces = false
  private let dataset: Dataset
  private let packs: PackSet
  private var catalog: FileEntry?

  init(
    _ dataset: Dataset, _ collection: ExactString, packSize: UInt64,
    unfinished: UnfinishedObjects
  ) throws {
    self.dataset = dataset
    self.collection = collection
    let (store, stage) = (dataset.store, dataset.session.identifier())
    self.stage = stage
    packs = PackSet(stage: stage, packSize: packSize, unfinished: unfinished, in: store)
    let name = Layout.catalog(stage)
    sink = ShardSink(
      packs: packs,
      catalog: try unfinished.making(name, in: store) {
        try CatalogWriter(name, in: store, stage: stage)
      })
  }

  /// Whether no volume came into it; its files are of no use then.
  var isEmpty: Bool { sink.catalog.count == 0 }

  /// Flushes and closes its files.
  func finish() throws {
    catalog = try sink.catalog.finish()
    try packs.finish()
  }

  /// Removes its files.
  func remove() throws {
    try dataset.store.remove(packs.names + [Layout.catalog(stage)])
  }

  /// Its record, once it is finished.
  func record(_ options: StageOptions, of run: Stage.Run?) -> Stage {
    guard let catalog else { preconditionFailure("it is not finished") }
    return Stage(
      stage: stage, collection: collection, created: dataset.session.timestamp(),
      tool: options.tool,
      volumes: UInt64(sink.catalog.count), rawBytes: sink.rawBytes,
      storedBytes: packs.entries.reduce(catalog.bytes) { $0 + $1.bytes },
      codec: CodecInfo(
        level: options.level, shuffle: options.shuffle, chunk: options.chunk.description),
      catalog: catalog, packs: packs.entries, replaces: replaces ? true : nil, run: run)
  }
}

public import ByteIO

/// Turns one frame stream into one stage of a dataset: packs, a catalog, and last its record.
///
/// What fails leaves nothing behind that a reader or a committer would see, and removes what it
/// wrote; what is killed leaves files that nothing names.
public final class StageWriter {
  private let dataset: Dataset
  private let collection: ExactString
  private let options: StageOptions
  private let stage = randomIdentifier()
  private let existing: ExistingVolumes
  private var replaces = false
  private var keys: Set<CatalogKey> = []
  private let pool = SlabPool()
  private var summary = StageSummary()

  /// Bytes of voxels that one job compresses.
  private static let jobBytes = 512 << 10

  /// Prepares a stage of `collection`.
  ///
  /// - Throws: `FormatError` for a name that no collection may have, or a damaged dataset.
  public init(_ dataset: Dataset, collection: ExactString, options: StageOptions) throws {
    if let defect = Names.defect(ofCollection: collection) {
      throw FormatError(collection.string, "no name for a collection: \(defect)")
    }
    self.dataset = dataset
    self.collection = collection
    self.options = options
    let manifest = try dataset.manifest()
    let stages = manifest?.stages ?? []
    if let (_, other) = Names.firstSpeltTwoWays([collection] + stages.map(\.collection)) {
      throw FormatError(
        collection.string,
        "the dataset has this collection in another spelling of Unicode: '\(other)'")
    }
    existing = ExistingVolumes(
      dataset, committed: stages,
      pending: options.existing == .refuse
        ? [] : try dataset.pendingStages(besides: manifest))
  }

  /// Writes all volumes of a stream and publishes the stage.
  ///
  /// - Parameters:
  ///   - reader: the stream.
  ///   - progress: called for each whole volume with its bytes.
  /// - Returns: the stage, and what the producer gave up.
  /// - Throws: `FormatError` that names volume and offset; `IOFailure`. Nothing is staged then.
  public func write(_ reader: FrameReader, progress: (UInt64) -> Void) throws -> StageSummary {
    let dataset = self.dataset
    let stage = self.stage
    let packs = PackSet(stage: stage, packSize: options.packSize) {
      dataset.file(Layout.pack(stage, $0))
    }
    let catalogPath = dataset.file(Layout.catalog(stage))
    do {
      let sink = ShardSink(
        packs: packs, catalog: try CatalogWriter(creating: catalogPath, stage: stage))
      try pass(reader, to: sink, progress)
      let volumes = sink.catalog.count
      let seal = try sink.catalog.finish()
      if volumes == 0 {
        try removeFiles(packs.paths + [catalogPath])
        return summary
      }
      try packs.finish()
      summary.stage = try publish(volumes: volumes, sink: sink, catalog: seal)
      return summary
    } catch {
      try? removeFiles(packs.paths + [catalogPath])
      throw error
    }
  }

  // MARK: The stream

  private func pass(
    _ reader: FrameReader, to sink: ShardSink, _ progress: (UInt64) -> Void
  ) throws {
    let pipeline = try OrderedPipeline<StageWorker, StageItem, StageOutput>(
      jobs: options.jobs, capacity: 16 + 4 * options.jobs,
      makeWorker: { StageWorker() },
      transform: { worker, item in try worker.run(item) },
      sink: { try sink.take($0) })
    do {
      try readFrames(reader, pipeline, progress)
    } catch {
      pipeline.cancel()
      throw error
    }
    try pipeline.finish()
  }

  private func readFrames(
    _ reader: FrameReader, _ pipeline: OrderedPipeline<StageWorker, StageItem, StageOutput>,
    _ progress: (UInt64) -> Void
  ) throws {
    var assembler: SlabAssembler?
    var bytes: UInt64 = 0
    var key: CatalogKey?
    var codec = StageCodec(valueSize: 1, shuffle: options.shuffle, level: options.level)
    var twin: Twin?
    while let event = try reader.next() {
      switch event {
      case .open(let header):
        let (record, grid) = try admit(header, reader)
        let recordKey = CatalogKey(record.obsID)
        key = recordKey
        bytes = record.rawBytes
        twin = try findTwin(recordKey, header, reader)
        if twin?.isOnlyCompared == true { continue }
        codec.valueSize = header.dtype.size
        try pipeline.submit(
          .begin(record, chunks: grid.chunkCount), cost: 2 * record.headerJSON.count)
        assembler = SlabAssembler(grid) { [dataset, pool, options] grid, number in
          try Slab(
            grid, number, pool: pool, maximumBytes: options.slabLimit,
            scratchFolder: dataset.file(Layout.stages))
        }
      case .extra(let afterVoxels):
        let body = try reader.readWholeBody()
        twin?.comparison.extra(body, afterVoxels: afterVoxels)
        if twin?.isOnlyCompared == true { continue }
        try pipeline.submit(
          .extra(afterVoxels: afterVoxels, bytes: body), cost: 2 * body.count)
      case .data:
        // The reader passes over what is not taken, and checks it.
        if twin?.isOnlyCompared == true { continue }
        while reader.bodyRemaining > 0 {
          let count = try reader.readBody(
            into: try assembler?.room() ?? .init(start: nil, count: 0))
          if let slab = try assembler?.advance(count) { try submit(slab, codec, to: pipeline) }
        }
      case .close(let crc32, let quirks):
        if let twin, try settle(twin, crc32: crc32, reader) {
          if !twin.isOnlyCompared { try pipeline.submit(.drop) }
        } else {
          try pipeline.submit(.finish(crc32: crc32, quirks: quirks))
        }
        twin = nil
        progress(bytes)
      case .drop:
        if twin?.isOnlyCompared != true { try pipeline.submit(.drop) }
        twin = nil
        if let key { keys.remove(key) }
        summary.dropped += 1
      case .end(let skipped):
        summary.skipped &+= skipped
      }
    }
  }

  private func submit(
    _ slab: Slab, _ codec: StageCodec,
    to pipeline: OrderedPipeline<StageWorker, StageItem, StageOutput>
  ) throws {
    let step = max(1, Self.jobBytes / slab.grid.chunkBytes)
    for start in stride(from: 0, to: slab.chunkCount, by: step) {
      let range = start..<min(slab.chunkCount, start + step)
      let bytes = slab.grid.chunkBytes
      try pipeline.submit(
        .chunks(slab, range, codec), cost: range.count * bytes / 2 + 3 * bytes)
    }
  }

  /// Decides whether a volume may come in, before its voxels do.
  private func admit(
    _ header: VolumeHeader, _ reader: FrameReader
  ) throws -> (CatalogRecord, ChunkGrid) {
    func refusal(_ reason: String) -> FormatError {
      FormatError(reader.source, at: reader.frameOffset, "volume '\(header.label)': \(reason)")
    }
    if let objection = options.objection(header) { throw refusal(objection) }
    var header = header
    let id: ExactString
    if let template = options.obsID {
      do {
        id = try template.name(of: header, collection: collection)
      } catch {
        throw refusal(error.reason)
      }
    } else {
      id = NameTemplate.defaultObsID(of: header, collection: collection)
    }
    if let defect = Names.defect(ofID: id) { throw refusal("'\(id)' cannot be its id: \(defect)") }
    if let subject = header.obsSubjectID, let defect = Names.defect(ofID: subject) {
      throw refusal("'\(subject)' cannot be its subject: \(defect)")
    }
    let key = CatalogKey(id)
    guard keys.insert(key).inserted else {
      throw refusal(
        "the id '\(id)' occurs twice in this run; --obs-id makes ids that differ")
    }
    if options.existing == .refuse, let stage = try existing.stage(holding: key) {
      throw refusal(
        "the id '\(id)' is in collection '\(stage.collection)' of the dataset already; "
          + "--obs-id makes another, --skip-existing passes over it")
    }
    let chunk = options.chunk.resolve(header.shape)
    guard let grid = ChunkGrid(shape: header.shape, chunk: chunk, voxelBytes: header.voxelBytes)
    else {
      throw refusal(
        "chunks of \(chunk.map(String.init).joined(separator: ",")) for its shape are over 128 MiB "
          + "each or over 4,194,304 in number; choose others with --chunk")
    }
    header.obsID = id
    header.collection = nil
    let json = JSON.encode(header.json)
    guard json.count <= CatalogRecord.maximumHeader else {
      throw refusal("its header is over \(CatalogRecord.maximumHeader) bytes long")
    }
    let record = CatalogRecord(
      obsID: id, headerJSON: json, rawBytes: header.byteCount, pack: 0,
      isShuffled: options.shuffle && header.dtype.size > 1, chunk: chunk)
    return (record, grid)
  }

  // MARK: Volumes that are there already

  /// A volume that the dataset has under the id of the present one.
  private struct Twin {
    var match: ExistingVolumes.Match
    var comparison: VolumeComparison
    /// Whether the present one is not written, whatever comes of the comparison.
    var isOnlyCompared: Bool
  }

  private func findTwin(
    _ key: CatalogKey, _ header: VolumeHeader, _ reader: FrameReader
  ) throws -> Twin? {
    guard options.existing != .refuse, let match = try existing.match(key) else { return nil }
    guard match.stage.collection == collection else {
      throw FormatError(
        reader.source, at: reader.frameOffset, volume: match.record.obsID.string,
        "it is in collection '\(match.stage.collection)' of the dataset, not in '\(collection)'")
    }
    return Twin(
      match: match, comparison: try existing.compare(header, with: match),
      isOnlyCompared: options.existing == .skip || !match.isCommitted)
  }

  /// Whether the present volume is the same as its twin, and so is left out.
  private func settle(_ twin: Twin, crc32: UInt32, _ reader: FrameReader) throws -> Bool {
    if try twin.comparison.isSame(crc32: crc32) {
      summary.existing += 1
      return true
    }
    guard !twin.isOnlyCompared else {
      throw FormatError(
        reader.source, at: reader.frameOffset, volume: twin.match.record.obsID.string,
        twin.match.isCommitted
          ? "the dataset has another volume under this id; --replace puts this one in its place"
          : "stage \(twin.match.stage.stage) has another volume under this id; commit it first")
    }
    replaces = true
    return false
  }

  // MARK: Publishing

  private func publish(volumes: Int, sink: ShardSink, catalog: FileSeal) throws -> Stage {
    func entry(_ path: String, _ seal: FileSeal) -> FileEntry {
      FileEntry(path: path, bytes: seal.bytes, sha256: seal.sha256)
    }
    let result = Stage(
      stage: stage, collection: collection, created: timestamp(), tool: options.tool,
      volumes: UInt64(volumes), rawBytes: sink.rawBytes,
      storedBytes: sink.packs.seals.reduce(catalog.bytes) { $0 + $1.bytes },
      codec: CodecInfo(
        level: options.level, shuffle: options.shuffle, chunk: options.chunk.description),
      catalog: entry(Layout.catalog(stage), catalog),
      packs: sink.packs.seals.enumerated().map { entry(Layout.pack(stage, $0), $1) },
      replaces: replaces ? true : nil)
    for directory in [Layout.packs, Layout.catalogs] {
      try Publishing.syncDirectory(dataset.file(directory))
    }
    // Someone may have removed them, taking them for what a dead writer left.
    for file in result.files {
      _ = try InputFile.recorded(dataset.file(file.path), bytes: file.bytes)
    }
    try dataset.publish(result)
    return result
  }

  private func removeFiles(_ paths: [String]) throws {
    for path in paths { try Publishing.remove(path) }
  }
}

extension CatalogRecord {
  /// A record before anything of the volume was written.
  fileprivate init(
    obsID: ExactString, headerJSON: [UInt8], rawBytes: UInt64, pack: Int, isShuffled: Bool,
    chunk: [Int]
  ) {
    self.obsID = obsID
    self.headerJSON = headerJSON
    self.rawBytes = rawBytes
    self.pack = pack
    self.isShuffled = isShuffled
    self.chunk = chunk
    crc32 = 0
    shardOffset = 0
    shardLength = 0
    extras = []
  }
}

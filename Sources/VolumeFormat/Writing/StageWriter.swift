internal import ByteIO

/// Turns one frame stream into one stage of a dataset: packs, a catalog, and last its record.
///
/// What fails leaves nothing behind that a reader or a committer would see, and removes what it
/// wrote; what is killed leaves files that nothing names.
public final class StageWriter {
  private let dataset: Dataset
  private let collection: String
  private let options: StageOptions
  private let stage = randomIdentifier()
  private let committed: CatalogSet
  private var keys: Set<CatalogKey> = []
  private let pool = SlabPool()
  private var summary = StageSummary()

  /// Bytes of voxels that one job compresses.
  private static let jobBytes = 512 << 10

  /// Prepares a stage of `collection`.
  ///
  /// - Throws: `FormatError` for a name that no collection may have, or a damaged dataset.
  public init(_ dataset: Dataset, collection: String, options: StageOptions) throws {
    if let defect = Names.defect(ofCollection: collection) {
      throw FormatError(collection, "no name for a collection: \(defect)")
    }
    self.dataset = dataset
    self.collection = collection
    self.options = options
    let stages = try dataset.manifest()?.stages ?? []
    if let (_, other) = Names.firstSpeltTwoWays([collection] + stages.map(\.collection)) {
      throw FormatError(
        collection, "the dataset has this collection in another spelling of Unicode: '\(other)'")
    }
    committed = CatalogSet(dataset, stages)
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
    let pipeline = OrderedPipeline<StageWorker, StageItem, StageOutput>(
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
    while let event = try reader.next() {
      switch event {
      case .open(let header):
        let (record, grid) = try admit(header, reader)
        key = CatalogKey(record.obsID)
        bytes = record.rawBytes
        codec.valueSize = header.dtype.size
        try pipeline.submit(.begin(record, chunks: grid.chunkCount))
        assembler = SlabAssembler(grid) { [dataset, stage, pool, options] grid, number in
          try Slab(grid, number, pool: pool, maximumBytes: options.slabLimit) {
            dataset.file(Layout.temporary(Layout.stages, "\(stage)-\(randomIdentifier())"))
          }
        }
      case .extra(let afterVoxels):
        // Extras are not counted in the pool of slabs: large ones go one at a time.
        if reader.bodyRemaining > 1 << 20 { try pipeline.drain() }
        let body = try reader.readWholeBody()
        try pipeline.submit(.extra(afterVoxels: afterVoxels, bytes: body))
      case .data:
        while reader.bodyRemaining > 0 {
          let count = try reader.readBody(
            into: try assembler?.room() ?? .init(start: nil, count: 0))
          if let slab = try assembler?.advance(count) { try submit(slab, codec, to: pipeline) }
        }
      case .close(let crc32, let quirks):
        try pipeline.submit(.finish(crc32: crc32, quirks: quirks))
        progress(bytes)
      case .drop:
        try pipeline.submit(.drop)
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
      try pipeline.submit(.chunks(slab, range, codec))
    }
  }

  /// Decides whether a volume may come in, before its voxels do.
  private func admit(
    _ header: VolumeHeader, _ reader: FrameReader
  ) throws -> (CatalogRecord, ChunkGrid) {
    func refusal(_ reason: String) -> FormatError {
      FormatError(reader.source, at: reader.frameOffset, "volume '\(header.label)': \(reason)")
    }
    var header = header
    let id: String
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
    if let stage = try committed.stage(holding: key) {
      throw refusal(
        "the id '\(id)' is in collection '\(stage.collection)' of the dataset already; "
          + "--obs-id makes another")
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
    let json = try JSON.encode(header)
    guard json.count <= CatalogRecord.maximumHeader else {
      throw refusal("its header is over \(CatalogRecord.maximumHeader) bytes long")
    }
    let record = CatalogRecord(
      obsID: id, headerJSON: json, rawBytes: header.byteCount, pack: 0,
      isShuffled: options.shuffle && header.dtype.size > 1, chunk: chunk)
    return (record, grid)
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
      packs: sink.packs.seals.enumerated().map { entry(Layout.pack(stage, $0), $1) })
    for directory in [Layout.packs, Layout.catalogs] {
      try Publishing.syncDirectory(dataset.file(directory))
    }
    let record = StageRecord(datasetID: dataset.id, stage: result)
    let temporary = dataset.file(Layout.temporary(Layout.stages, stage))
    let json = try JSON.encode(record, pretty: true) + [0x0A]
    guard json.count <= StageRecord.maximumSize else {
      throw FormatError(stage, "its record would be over 16 MiB; choose a larger --pack-size")
    }
    try Publishing.write(json, to: temporary)
    do {
      try Publishing.rename(temporary, to: dataset.file(Layout.stage(stage)))
    } catch {
      // The rename may be done and only its flush have failed: no record may outlive the packs.
      try? Publishing.remove(dataset.file(Layout.stage(stage)))
      try? Publishing.remove(temporary)
      throw error
    }
    return result
  }

  private func removeFiles(_ paths: [String]) throws {
    for path in paths { try Publishing.remove(path) }
  }
}

extension CatalogRecord {
  /// A record before anything of the volume was written.
  fileprivate init(
    obsID: String, headerJSON: [UInt8], rawBytes: UInt64, pack: Int, isShuffled: Bool, chunk: [Int]
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

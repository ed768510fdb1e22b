internal import Chunks
public import Frames
internal import ByteIO

/// Turns one frame stream into stages of a dataset, one for each collection: packs, a catalog, and
/// last a record.
///
/// What fails leaves nothing behind that a reader or a committer would see, and removes what it
/// wrote; what is killed leaves files that nothing names, or records of a run that is not whole,
/// which no committer takes.
public final class StageWriter {
  private let dataset: Dataset
  private let options: StageOptions
  private let admission: StageAdmission
  private let report: ((FormatError) -> Void)?
  private var parts: [StagePart] = []
  private let pool = SlabPool()
  private var summary = StageSummary()
  /// Whether records may be there; what is given up from then on goes with its files.
  private var isPublished = false

  /// Bytes of voxels that one job compresses.
  private static let jobBytes = 512 << 10

  private typealias Pipeline = OrderedPipeline<StageWorker, StageWork, StageStep>

  /// Prepares stages.
  ///
  /// - Parameters:
  ///   - dataset: where.
  ///   - destination: the collections.
  ///   - options: how.
  ///   - report: told of each volume that cannot come in, which is left out then; nil if the first
  ///     ends the run.
  /// - Throws: `FormatError` for a name that no collection may have, or a damaged dataset.
  public init(
    _ dataset: Dataset, _ destination: StageOptions.Destination, options: StageOptions,
    report: ((FormatError) -> Void)? = nil
  ) throws {
    self.dataset = dataset
    self.options = options
    self.report = report
    admission = try StageAdmission(dataset, destination, options)
    summary.unread = admission.unread
  }

  /// Writes all volumes of a stream and publishes the stages.
  ///
  /// - Parameters:
  ///   - reader: the stream.
  ///   - progress: called for each whole volume with its bytes.
  /// - Returns: the stages, and what the producer gave up.
  /// - Throws: `FormatError` that names volume and offset; `IOFailure`; `StageGivenUp`. Nothing is
  ///   staged then. `UnsureStage` where nobody knows.
  public func write(_ reader: FrameReader, progress: (UInt64) -> Void) throws -> StageSummary {
    let lease = try Lease(dataset, .write, tool: options.tool, unfinished: options.unfinished)
    defer { lease.end() }
    do {
      try pass(reader, progress)
      for part in parts where part.isEmpty { try part.remove() }
      parts.removeAll(where: \.isEmpty)
      for part in parts { try part.finish() }
      // However it ends, no signal may remove what a committer may have seen.
      summary.stages = try options.unfinished.finishing { Result { try publish() } }.get()
      return summary
    } catch let unsure as UnsureStage {
      lease.leave()
      throw unsure
    } catch {
      // What is published, a committer may have seen.
      if !isPublished { for part in parts { try? part.remove() } }
      throw error
    }
  }

  // MARK: The stream

  private func pass(_ reader: FrameReader, _ progress: (UInt64) -> Void) throws {
    let router = StageRouter()
    let pipeline = try Pipeline(
      jobs: options.jobs, capacity: 16 + 4 * options.jobs,
      makeWorker: { StageWorker() },
      transform: { worker, work in try worker.run(work) },
      sink: { try router.take($0) })
    do {
      try readFrames(reader, pipeline, progress)
    } catch {
      pipeline.cancel()
      throw error
    }
    try pipeline.finish()
  }

  /// A volume that is coming in.
  private struct Incoming {
    var volume: StageAdmission.Volume
    var part: StagePart?
    var assembler: SlabAssembler
    var codec: StageCodec
    /// Whether nothing of it is written.
    var isOnlyCompared: Bool { volume.twin?.isOnlyCompared == true }
  }

  private func readFrames(
    _ reader: FrameReader, _ pipeline: Pipeline, _ progress: (UInt64) -> Void
  ) throws {
    /// Nil where a volume is left out: the reader passes over what is not taken, and checks it.
    var incoming: Incoming?
    while let event = try reader.next() {
      switch event {
      case .open(let header): incoming = try leavingOut { try open(header, reader, pipeline) }
      case .extra(let afterVoxels):
        guard let volume = incoming?.volume else { continue }
        let body = try reader.readWholeBody()
        volume.twin?.comparison.extra(body, afterVoxels: afterVoxels)
        if incoming?.isOnlyCompared == true { continue }
        try pipeline.submit(.extra(afterVoxels: afterVoxels, bytes: body), cost: 2 * body.count)
      case .data:
        guard incoming?.isOnlyCompared == false else { continue }
        while reader.bodyRemaining > 0 {
          let count = try reader.readBody(
            into: try incoming?.assembler.room() ?? .init(start: nil, count: 0))
          if let slab = try incoming?.assembler.advance(count), let codec = incoming?.codec {
            try submit(slab, codec, to: pipeline)
          }
        }
      case .close(let crc32, let quirks):
        guard let whole = incoming else { continue }
        incoming = nil
        let isLeftOut = try leavingOut {
          try whole.volume.twin.map { try settle($0, crc32, reader) } ?? false
        }
        if isLeftOut != false {
          if isLeftOut == nil { admission.forget(whole.volume.key) }
          if !whole.isOnlyCompared { try pipeline.pass(.drop) }
        } else {
          if whole.volume.twin != nil { whole.part?.replaces = true }
          try pipeline.pass(.finish(crc32: crc32, quirks: quirks))
        }
        progress(whole.volume.record.rawBytes)
      case .drop:
        if let incoming {
          if !incoming.isOnlyCompared { try pipeline.pass(.drop) }
          admission.forget(incoming.volume.key)
        }
        incoming = nil
        summary.dropped += 1
      case .end(let skipped):
        summary.skipped &+= skipped
      }
    }
  }

  /// Does what a volume may be refused at; nil if it was, and the run is to go on without it.
  private func leavingOut<T>(_ body: () throws -> T) throws -> T? {
    do {
      return try body()
    } catch let error as StageAdmission.Refused {
      guard let report else { throw error.reason }
      report(error.reason)
      summary.refused += 1
      return nil
    }
  }

  private func open(
    _ header: VolumeHeader, _ reader: FrameReader, _ pipeline: Pipeline
  ) throws -> Incoming {
    let volume = try admission.admit(header, reader) { key in
      try pipeline.drain()
      for part in parts { if let record = try part.sink.catalog.record(key) { return record } }
      return nil
    }
    let assembler = SlabAssembler(volume.grid) { [dataset, pool, options] grid, number in
      try Slab(
        grid, number, pool: pool, maximumBytes: options.slabLimit,
        scratch: dataset.scratch)
    }
    var incoming = Incoming(
      volume: volume, assembler: assembler,
      codec: StageCodec(
        valueSize: header.dtype.size, shuffle: options.shuffle, level: options.level))
    if !incoming.isOnlyCompared {
      let part = try part(of: volume.collection)
      incoming.part = part
      try pipeline.pass(
        .begin(volume.record, chunks: volume.grid.chunkCount, part.sink),
        cost: 2 * volume.record.headerJSON.count)
    }
    return incoming
  }

  private func part(of collection: ExactString) throws -> StagePart {
    if let part = parts.first(where: { $0.collection == collection }) { return part }
    guard parts.count < Stage.Run.maximumStages else {
      throw FormatError(
        dataset.path,
        "the stream fills over \(Stage.Run.maximumStages) collections; choose a template that makes "
          + "fewer")
    }
    let part = try StagePart(
      dataset, collection, packSize: options.packSize, unfinished: options.unfinished)
    parts.append(part)
    return part
  }

  /// Whether a volume is the same as its twin, and so is left out.
  private func settle(
    _ twin: StageAdmission.Twin, _ crc32: UInt32, _ reader: FrameReader
  ) throws -> Bool {
    guard try admission.settle(twin, crc32: crc32, reader) else { return false }
    summary.existing += 1
    if !twin.comparison.hasSameAttributes { summary.otherAttributes += 1 }
    return true
  }

  private func submit(_ slab: Slab, _ codec: StageCodec, to pipeline: Pipeline) throws {
    let step = max(1, Self.jobBytes / slab.grid.chunkBytes)
    for start in stride(from: 0, to: slab.chunkCount, by: step) {
      let range = start..<min(slab.chunkCount, start + step)
      let bytes = slab.grid.chunkBytes
      try pipeline.submit(
        .chunks(slab, range, codec), cost: range.count * bytes / 2 + 3 * bytes)
    }
  }

  // MARK: Publishing

  private func publish() throws -> [Stage] {
    guard !parts.isEmpty else { return [] }
    let run =
      parts.count > 1 ? Stage.Run(id: dataset.session.identifier(), stages: parts.count) : nil
    let stages = parts.map { $0.record(options, of: run) }
    // Someone may have removed them, taking them for what a dead writer left.
    for file in stages.flatMap(\.files) { _ = try dataset.open(file) }
    isPublished = true
    try dataset.publish(stages)
    if (try? dataset.holds(stages)) == false {
      try dataset.withdraw(stages, since: StageGivenUp(path: dataset.path))
    }
    return stages
  }
}

/// Leads the steps of each volume to the stage that it belongs to.
///
/// Used by one thread at a time: the pipeline's sink.
private final class StageRouter: @unchecked Sendable {
  private var sink: ShardSink?

  func take(_ step: StageStep) throws {
    if case .begin(_, _, let sink) = step { self.sink = sink }
    try sink?.take(step)
  }
}

public import ByteIO

/// Turns volumes of a snapshot back into frames; decodes ahead with several threads.
///
/// Every chunk's checksum and every volume's CRC-32 is verified. On damage the stream is left
/// without its end frame, so that no consumer takes it for whole; or, for one who asks for it, the
/// volume is dropped and the stream goes on.
public final class VolumeStreamer {
  /// How a stream is written.
  public struct Options: Sendable {
    /// Threads that decode.
    public var jobs: Int
    /// Where a slab too large for memory may lie for a while.
    public var scratchDirectory: String
    /// Larger slabs go through such a file; see `SlabLimit`.
    public var slabLimit = SlabLimit.standard
    /// Called on another thread for each whole volume with its bytes.
    public var progress: @Sendable (UInt64) -> Void = { _ in }
    /// If given, gets what is damaged, perhaps on another thread, and the stream goes on.
    public var onDamage: (@Sendable (any Error) -> Void)?

    /// Makes options.
    public init(jobs: Int, scratchDirectory: String) {
      self.jobs = jobs
      self.scratchDirectory = scratchDirectory
    }
  }

  private enum Step: Sendable {
    case open(StoredVolume, VolumeHeader)
    case extra(StoredVolume, CatalogRecord.Extra)
    case chunks(StoredVolume, Slab, Range<Int>)
    case emit(Slab)
    case close(StoredVolume)
  }

  private enum Done: Sendable {
    case open(VolumeHeader)
    case extra([UInt8])
    case decoded
    case emit(Slab)
    case close(StoredVolume)
    case damaged(any Error)
  }

  private static let jobBytes = 512 << 10

  private let volumes: VolumeOpener
  private let output: Output
  private let options: Options
  private let pool = SlabPool()
  private let pipeline: OrderedPipeline<DecodeWorker, Step, Done>
  private var skipped: UInt64 = 0

  /// How many volumes were given up; after `end`.
  public var lost: UInt64 { skipped + output.dropped }

  /// Streams volumes of `snapshot` to `file`.
  public init(_ snapshot: Snapshot, to file: OutputFile, options: Options) {
    volumes = VolumeOpener(snapshot.dataset)
    self.options = options
    let output = Output(FrameWriter(file), options)
    self.output = output
    let goesOn = options.onDamage != nil
    pipeline = OrderedPipeline(
      jobs: options.jobs, capacity: 16 + 4 * options.jobs,
      makeWorker: { DecodeWorker() },
      transform: { worker, step in
        guard goesOn else { return try Self.run(step, worker) }
        do { return try Self.run(step, worker) } catch { return .damaged(error) }
      },
      sink: { done in try output.take(done) })
  }

  /// Adds a volume to the stream.
  public func add(_ record: CatalogRecord, of stage: Stage) throws {
    let opened = Result { try volumes.open(record, of: stage) }
    if let onDamage = options.onDamage, case .failure(let error) = opened {
      onDamage(error)
      skipped += 1
      return
    }
    let volume = try opened.get()
    var header = volume.header
    header.obsID = record.obsID
    header.collection = stage.collection
    try pipeline.submit(.open(volume, header))
    try addExtras(of: volume, afterVoxels: false)
    let step = max(1, Self.jobBytes / volume.grid.chunkBytes)
    for number in 0..<volume.grid.slabCount {
      let slab = try Slab(volume.grid, number, pool: pool, maximumBytes: options.slabLimit) {
        "\(options.scratchDirectory)/.vol-cat-\(randomIdentifier())"
      }
      for start in stride(from: 0, to: slab.chunkCount, by: step) {
        let range = start..<min(slab.chunkCount, start + step)
        try pipeline.submit(.chunks(volume, slab, range))
      }
      try pipeline.submit(.emit(slab))
    }
    try addExtras(of: volume, afterVoxels: true)
    try pipeline.submit(.close(volume))
  }

  /// Counts volumes that cannot even be added.
  public func skip(_ count: UInt64) { skipped &+= count }

  private func addExtras(of volume: StoredVolume, afterVoxels: Bool) throws {
    for extra in volume.record.extras where extra.afterVoxels == afterVoxels {
      // Extras are not counted in the pool of slabs: large ones go one at a time.
      if extra.count > 1 << 20 { try pipeline.drain() }
      try pipeline.submit(.extra(volume, extra))
    }
  }

  /// Waits for all volumes and ends the stream.
  public func end() throws {
    try pipeline.finish()
    try output.writer.end(skipped: min(skipped, VolumeHeader.maximumBytes))
  }

  /// Ends the work without ending the stream, for one who failed elsewhere.
  public func cancel() { pipeline.cancel() }

  private static func run(_ step: Step, _ worker: DecodeWorker) throws -> Done {
    switch step {
    case .open(_, let header): return .open(header)
    case .extra(let volume, let extra): return .extra(try volume.extra(extra))
    case .chunks(let volume, let slab, let range):
      try volume.decode(range, of: slab, with: worker)
      return .decoded
    case .emit(let slab): return .emit(slab)
    case .close(let volume): return .close(volume)
    }
  }

  /// Writes what was decoded; used on the pipeline's sink thread only, and after it has ended.
  private final class Output: @unchecked Sendable {
    let writer: FrameWriter
    private(set) var dropped: UInt64 = 0
    private let options: Options
    private var isOpen = false

    init(_ writer: FrameWriter, _ options: Options) {
      self.writer = writer
      self.options = options
    }

    func take(_ done: Done) throws {
      switch done {
      case .open(let header):
        try writer.open(header)
        isOpen = true
      case .extra(let bytes): if isOpen { try bytes.withUnsafeBytes { try writer.extra($0) } }
      case .decoded: break
      case .emit(let slab):
        guard isOpen else { return }
        for number in 0..<slab.bandCount {
          try slab.load(band: number)
          try writer.data(UnsafeRawBufferPointer(slab.band(number)))
        }
      case .close(let volume):
        guard isOpen else { return }
        guard writer.voxelCRC == volume.record.crc32 else {
          try damage(volume.mismatch())
          return
        }
        try writer.close()
        isOpen = false
        options.progress(volume.record.rawBytes)
      case .damaged(let error): try damage(error)
      }
    }

    private func damage(_ error: any Error) throws {
      guard let onDamage = options.onDamage else { throw error }
      onDamage(error)
      guard isOpen else { return }
      try writer.drop(reason: "\(error)")
      dropped += 1
      isOpen = false
    }
  }
}

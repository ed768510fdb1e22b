internal import Chunks
public import Frames
internal import ByteIO

/// Reads volumes of a snapshot, whole or in part; decodes ahead with several threads.
///
/// Every chunk's checksum and every whole volume's CRC-32 is verified. On damage the sink's end is
/// left out, so that no consumer takes a stream for whole; or, for one who asks for it, the volume
/// is dropped and the rest follows.
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

  /// What takes work.
  private enum Work: Sendable {
    case extra(StoredVolume, CatalogRecord.Extra)
    case chunks(StoredVolume, Slab, Range<Int>)
  }

  /// What comes out, in order.
  private enum Step: Sendable {
    case open(VolumeHeader, CatalogRecord, Stage)
    case extra([UInt8], afterVoxels: Bool)
    case decoded
    case emit(Slab)
    /// With the volume if it was whole, and the bytes of its voxels.
    case close(StoredVolume?, UInt64)
    case damaged(any Error)
  }

  private static let jobBytes = 512 << 10

  private let volumes: VolumeOpener
  private let output: Output
  private let options: Options
  private let pool = SlabPool()
  private let pipeline: OrderedPipeline<DecodeWorker, Work, Step>
  private var skipped: UInt64 = 0

  /// How many volumes were given up; after `end`.
  public var lost: UInt64 { skipped + output.dropped }

  /// Reads volumes of `snapshot` into `sink`.
  ///
  /// - Throws: `ThreadRefused`.
  public init(_ snapshot: Snapshot, to sink: any VolumeSink, options: Options) throws {
    volumes = VolumeOpener(snapshot.dataset)
    self.options = options
    let output = Output(sink, options)
    self.output = output
    let goesOn = options.onDamage != nil
    pipeline = try OrderedPipeline(
      jobs: options.jobs, capacity: 16 + 4 * options.jobs,
      makeWorker: { DecodeWorker() },
      transform: { worker, work in
        guard goesOn else { return try Self.run(work, worker) }
        do { return try Self.run(work, worker) } catch { return .damaged(error) }
      },
      sink: { step in try output.take(step) })
  }

  /// Adds a volume, or the part of it that `region` means.
  ///
  /// - Throws: `Region.Mismatch` if it has no such part; `FormatError`; `IOFailure`.
  public func add(
    _ record: CatalogRecord, of stage: Stage, region: Region = Region()
  ) throws {
    let opened = Result { try volumes.open(record, of: stage) }
    if let onDamage = options.onDamage, case .failure(let error) = opened {
      onDamage(error)
      skipped += 1
      return
    }
    let volume = try opened.get()
    let ranges = try region.resolve(volume.header.shape)
    let isWhole = ranges.map(\.count) == volume.header.shape
    var header = isWhole ? volume.header : volume.header.window(ranges)
    header.obsID = record.obsID
    header.collection = stage.collection
    try pipeline.pass(.open(header, record, stage), cost: 8 * record.headerJSON.count)
    if isWhole { try addExtras(of: volume, afterVoxels: false) }
    let grid = isWhole ? volume.grid : volume.grid.window(ranges, inOneSlab: false)
    let step = max(1, Self.jobBytes / grid.chunkBytes)
    for number in 0..<grid.slabCount {
      let slab = try Slab(
        grid, number, pool: pool, maximumBytes: options.slabLimit,
        scratch: { try OutputFile(scratchIn: options.scratchDirectory) })
      for start in stride(from: 0, to: slab.chunkCount, by: step) {
        let range = start..<min(slab.chunkCount, start + step)
        try pipeline.submit(.chunks(volume, slab, range), cost: volume.decodingBytes)
      }
      try pipeline.pass(.emit(slab))
    }
    if isWhole { try addExtras(of: volume, afterVoxels: true) }
    try pipeline.pass(.close(isWhole ? volume : nil, header.byteCount))
  }

  /// Counts volumes that cannot even be added.
  public func skip(_ count: UInt64) { skipped &+= count }

  private func addExtras(of volume: StoredVolume, afterVoxels: Bool) throws {
    for extra in volume.record.extras where extra.afterVoxels == afterVoxels {
      try pipeline.submit(.extra(volume, extra), cost: 2 * extra.count)
    }
  }

  /// Waits for all volumes and ends the sink.
  ///
  /// - Throws: `FormatError` for damage that nobody takes; `IOFailure`; what the sink throws.
  public func end() throws {
    try pipeline.finish()
    try output.sink.end(skipped: skipped)
  }

  /// Ends the work without ending the sink, for one who failed elsewhere.
  public func cancel() { pipeline.cancel() }

  private static func run(_ work: Work, _ worker: DecodeWorker) throws -> Step {
    switch work {
    case .extra(let volume, let extra):
      return .extra(try volume.extra(extra), afterVoxels: extra.afterVoxels)
    case .chunks(let volume, let slab, let range):
      try volume.decode(range, of: slab, with: worker)
      return .decoded
    }
  }

  /// Passes on what was decoded; used on the pipeline's sink thread only, and after it has ended.
  private final class Output: @unchecked Sendable {
    let sink: any VolumeSink
    private(set) var dropped: UInt64 = 0
    private let options: Options
    private var isOpen = false
    private var crc = CRC32()

    init(_ sink: any VolumeSink, _ options: Options) {
      self.sink = sink
      self.options = options
    }

    func take(_ step: Step) throws {
      switch step {
      case .open(let header, let record, let stage):
        if let sink = sink as? any StoredVolumeSink {
          try sink.open(header, record, of: stage)
        } else {
          try sink.open(header)
        }
        isOpen = true
        crc = CRC32()
      case .extra(let bytes, let afterVoxels):
        if isOpen { try sink.extra(bytes, afterVoxels: afterVoxels) }
      case .decoded: break
      case .emit(let slab):
        guard isOpen else { return }
        for number in 0..<slab.bandCount {
          try slab.load(band: number)
          let band = slab.band(number)
          if sink.voxelCRC == nil { crc.update(UnsafeRawBufferPointer(band)) }
          try sink.data(band)
        }
      case .close(let volume, let bytes):
        guard isOpen else { return }
        if let volume, sink.voxelCRC ?? crc.value != volume.record.crc32 {
          try damage(volume.mismatch())
          return
        }
        try sink.close()
        isOpen = false
        options.progress(bytes)
      case .damaged(let error): try damage(error)
      }
    }

    private func damage(_ error: any Error) throws {
      guard let onDamage = options.onDamage else { throw error }
      onDamage(error)
      guard isOpen else { return }
      try sink.drop(reason: "\(error)")
      dropped += 1
      isOpen = false
    }
  }
}

public import ByteIO

/// Turns volumes of a snapshot back into frames; decodes ahead with several threads.
///
/// Every chunk's checksum and every volume's CRC-32 is verified. On damage the stream is left
/// without its end frame, so that no consumer takes it for whole.
public final class VolumeStreamer {
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
  }

  /// Used on the pipeline's sink thread only, but for `end`.
  private final class Output: @unchecked Sendable {
    let writer: FrameWriter
    init(_ writer: FrameWriter) { self.writer = writer }
  }

  private static let jobBytes = 512 << 10

  private let snapshot: Snapshot
  private let output: Output
  private let scratchDirectory: String
  private let slabLimit: Int
  private let pool = SlabPool()
  private let pipeline: OrderedPipeline<DecodeWorker, Step, Done>

  /// Streams volumes of `snapshot` to `file`.
  ///
  /// - Parameters:
  ///   - snapshot: where the volumes are.
  ///   - file: where the stream goes.
  ///   - jobs: threads that decode.
  ///   - scratchDirectory: where a slab too large for memory may lie for a while.
  ///   - slabLimit: larger slabs go through such a file; see `SlabLimit`.
  ///   - progress: called on another thread for each whole volume with its bytes.
  public init(
    _ snapshot: Snapshot, to file: OutputFile, jobs: Int, scratchDirectory: String,
    slabLimit: Int = SlabLimit.standard, progress: @escaping @Sendable (UInt64) -> Void
  ) {
    self.snapshot = snapshot
    self.scratchDirectory = scratchDirectory
    self.slabLimit = slabLimit
    let output = Output(FrameWriter(file))
    self.output = output
    pipeline = OrderedPipeline(
      jobs: jobs, capacity: 16 + 4 * jobs,
      makeWorker: { DecodeWorker() },
      transform: { worker, step in try Self.run(step, worker) },
      sink: { done in try Self.write(done, to: output.writer, progress) })
  }

  /// Adds a volume to the stream.
  public func add(_ record: CatalogRecord, of stage: Stage) throws {
    let volume = try snapshot.open(record, of: stage)
    var header = volume.header
    header.obsID = record.obsID
    header.collection = stage.collection
    try pipeline.submit(.open(volume, header))
    try addExtras(of: volume, afterVoxels: false)
    let step = max(1, Self.jobBytes / volume.grid.chunkBytes)
    for number in 0..<volume.grid.slabCount {
      let slab = try Slab(volume.grid, number, pool: pool, maximumBytes: slabLimit) {
        "\(scratchDirectory)/.vol-cat-\(randomIdentifier())"
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
    try output.writer.end()
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

  private static func write(
    _ done: Done, to writer: FrameWriter, _ progress: (UInt64) -> Void
  ) throws {
    switch done {
    case .open(let header): try writer.open(header)
    case .extra(let bytes): try bytes.withUnsafeBytes { try writer.extra($0) }
    case .decoded: break
    case .emit(let slab):
      for number in 0..<slab.bandCount {
        try slab.load(band: number)
        try writer.data(UnsafeRawBufferPointer(slab.band(number)))
      }
    case .close(let volume):
      guard writer.voxelCRC == volume.record.crc32 else {
        throw FormatError(
          volume.record.obsID, "its voxels do not match the CRC-32 that was recorded")
      }
      try writer.close()
      progress(volume.record.rawBytes)
    }
  }
}

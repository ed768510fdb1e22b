public import ByteIO

/// Answers requests for regions, one after the other; see vol-cat(1), Batch mode.
///
/// Regions are decoded ahead of whoever reads the answers, by several threads. Volumes that were
/// asked for lately keep their index, and their packs stay open.
public final class RegionServer {
  /// The most bytes of a region: its answer is made whole before it is sent.
  public static let maximumRegion = SlabLimit.standard

  private enum Step: Sendable {
    case whole(StoredVolume, Slab, String)
    case chunks(StoredVolume, Slab, Range<Int>)
    case answer(Slab, String)
    case refuse(String)
  }

  private enum Done: Sendable {
    case decoded
    case damaged(String)
    case answer(Slab, String)
    case refuse(String)
  }

  private let snapshot: Snapshot
  private let collection: String?
  private let jobs: Int
  private let volumes: VolumeCache
  private let pool = SlabPool()
  private let pipeline: OrderedPipeline<DecodeWorker, Step, Done>

  /// Serves volumes of `snapshot`, of one collection or of all, to `output`.
  public init(_ snapshot: Snapshot, collection: String?, to output: OutputFile, jobs: Int) {
    self.snapshot = snapshot
    self.collection = collection
    self.jobs = jobs
    volumes = VolumeCache(snapshot, collection: collection)
    output.widenPipe()
    let answers = Answers(output)
    pipeline = OrderedPipeline(
      jobs: jobs, capacity: 16 + 8 * jobs,
      makeWorker: { DecodeWorker() },
      transform: { worker, step in
        switch step {
        case .whole(let volume, let slab, let head):
          do {
            try volume.decode(0..<slab.chunkCount, of: slab, with: worker)
            return .answer(slab, head)
          } catch {
            return .refuse("\(error)")
          }
        case .chunks(let volume, let slab, let range):
          do {
            try volume.decode(range, of: slab, with: worker)
            return .decoded
          } catch {
            return .damaged("\(error)")
          }
        case .answer(let slab, let head): return .answer(slab, head)
        case .refuse(let reason): return .refuse(reason)
        }
      },
      sink: { try answers.take($0) })
  }

  /// Takes one request, an id and a region with a space or a tab between them.
  ///
  /// - Throws: `IOFailure` if answers cannot be written; whatever else is wrong is an answer.
  public func take(_ request: [UInt8]) throws {
    let prepared: (volume: StoredVolume, head: String, slab: Slab)
    do {
      prepared = try prepare(request)
    } catch {
      let reason = (error as? Region.Mismatch)?.reason ?? "\(error)"
      return try pipeline.submit(.refuse(reason))
    }
    let (volume, head, slab) = prepared
    // While others wait, each thread works on a request of its own, which spares them waking each
    // other; with nobody else to wait for, all work on this one.
    guard pipeline.isIdle else { return try pipeline.submit(.whole(volume, slab, head)) }
    let step = (slab.chunkCount + jobs - 1) / jobs
    for start in stride(from: 0, to: slab.chunkCount, by: step) {
      try pipeline.submit(.chunks(volume, slab, start..<min(slab.chunkCount, start + step)))
    }
    try pipeline.submit(.answer(slab, head))
  }

  /// Answers with an error that has no request.
  public func refuse(_ reason: String) throws { try pipeline.submit(.refuse(reason)) }

  /// Waits until all answers are written.
  public func end() throws { try pipeline.finish() }

  /// Ends the work where it stands.
  public func cancel() { pipeline.cancel() }

  /// Why a request cannot be answered.
  private struct Refusal: Error, CustomStringConvertible {
    var description: String
  }

  private func prepare(
    _ request: [UInt8]
  ) throws -> (volume: StoredVolume, head: String, slab: Slab) {
    // A client on another system may end its lines in CR LF.
    let line = request.last == 0x0D ? request.dropLast() : request[...]
    guard let text = String(validating: line, as: UTF8.self) else {
      throw Refusal(description: "the request is not in UTF-8")
    }
    // By bytes, since a space and a mark behind it are one character.
    guard let sign = text.utf8.lastIndex(where: { $0 == 0x20 || $0 == 0x09 }),
      case let place = Substring(text.utf8[text.utf8.index(after: sign)...]),
      let region = Region(place)
    else {
      throw Refusal(description: "a request is OBS_ID X0:X1,Y0:Y1,Z0:Z1, with a space between")
    }
    let id = String(text[..<sign])
    guard let volume = try volumes.volume(id) else {
      let place = collection.map { " in collection '\($0)'" } ?? ""
      throw Refusal(description: "no volume '\(id)'\(place)")
    }
    let ranges = try region.resolve(volume.header.shape)
    let header = volume.header.window(ranges)
    guard header.byteCount <= UInt64(Self.maximumRegion) else {
      throw Refusal(
        description: "the region has \(header.byteCount) bytes, over 64 MiB; ask for parts of it")
    }
    let grid = volume.grid.window(ranges, inOneSlab: true)
    let slab = try Slab(grid, 0, pool: pool, maximumBytes: .max) { "" }
    return (volume, Self.head(header), slab)
  }

  /// The line before the voxels.
  private static func head(_ header: VolumeHeader) -> String {
    var line = "{\"bytes\":\(header.byteCount),\"dtype\":\"\(header.dtype.rawValue)\""
    line += ",\"channels\":\(header.channels)"
    line += ",\"shape\":[\(header.shape.map(String.init).joined(separator: ","))]"
    func text(_ number: Double) -> String { number.isFinite ? "\(number)" : "null" }
    if let slope = header.slope { line += ",\"slope\":\(text(slope))" }
    if let intercept = header.intercept { line += ",\"intercept\":\(text(intercept))" }
    if let affine = header.affine {
      let rows = affine.map { "[\($0.map(text).joined(separator: ","))]" }
      line += ",\"affine\":[\(rows.joined(separator: ","))]"
    }
    return line + "}\n"
  }

  /// Writes answers; used on the pipeline's sink thread only.
  private final class Answers: @unchecked Sendable {
    private let output: OutputFile
    private var damage: String?

    init(_ output: OutputFile) { self.output = output }

    func take(_ done: Done) throws {
      switch done {
      case .decoded: break
      case .damaged(let reason): damage = damage ?? reason
      case .refuse(let reason): try write(error: reason)
      case .answer(let slab, let head):
        if let reason = damage {
          damage = nil
          return try write(error: reason)
        }
        let line = Array(head.utf8)
        try line.withUnsafeBytes { try output.write($0, UnsafeRawBufferPointer(slab.band(0))) }
      }
    }

    private func write(error reason: String) throws {
      try output.write(try JSON.encode(["error": String(reason.prefix(4096))]) + [0x0A])
    }
  }
}

/// Volumes of a snapshot that were opened lately.
private final class VolumeCache {
  /// Bytes that the indexes of kept volumes may take.
  private static let budget = 64 << 20
  /// The most packs that are kept open.
  private static let maximumPacks = 64

  private let catalogs: CatalogSet
  private let opener: VolumeOpener
  private var volumes: [String: (volume: StoredVolume, use: UInt64)] = [:]
  private var bytes = 0
  private var use: UInt64 = 0

  init(_ snapshot: Snapshot, collection: String?) {
    let stages = snapshot.manifest.stages.filter { $0.collection == collection ?? $0.collection }
    catalogs = CatalogSet(snapshot.dataset, stages)
    opener = VolumeOpener(snapshot.dataset, maximumOpen: Self.maximumPacks)
  }

  /// The volume `id`; nil if there is none.
  func volume(_ id: String) throws -> StoredVolume? {
    use += 1
    if let known = volumes[id]?.volume {
      volumes[id]?.use = use
      return known
    }
    guard let (stage, record) = try catalogs.record(CatalogKey(id)) else { return nil }
    let volume = try opener.open(record, of: stage)
    bytes += volume.memoryBytes
    volumes[id] = (volume, use)
    if bytes > Self.budget, volumes.count > 1 { forgetHalf() }
    return volume
  }

  /// Forgets those that were not asked for lately.
  private func forgetHalf() {
    let uses = volumes.values.map(\.use).sorted()
    let limit = uses[uses.count / 2]
    volumes = volumes.filter { $0.value.use >= limit }
    bytes = volumes.values.reduce(0) { $0 + $1.volume.memoryBytes }
  }
}

internal import Chunks
internal import Frames
public import ByteIO

/// Answers requests for regions, one after the other; see vol-cat(1), Batch mode.
///
/// Regions are decoded ahead of whoever reads the answers, by several threads. Volumes that were
/// asked for lately keep their index, and their packs stay open.
public final class RegionServer {
  /// The most bytes of an answer that is made whole before it is sent; larger ones go in parts.
  public static let wholeAnswer = SlabLimit.standard
  /// The most bytes of a part.
  public static let partBytes = 32 << 20

  /// Why there is no region, for a program that asks.
  enum Problem: ExactString {
    /// There is no such volume.
    case missing
    /// The volume has no such region.
    case region
    /// The dataset is damaged.
    case damage
    /// The request is none.
    case request
  }

  /// What takes work.
  private enum Work: Sendable {
    case whole(StoredVolume, Slab, [UInt8])
    case chunks(StoredVolume, Slab, Range<Int>)
  }

  /// What comes out, in order.
  private enum Step: Sendable {
    case decoded
    /// What is to be said instead of the answer that follows.
    case damaged(String)
    case answer(Slab, [UInt8])
    /// What is to be said instead of an answer.
    case failed(String)
    case line([UInt8])
    /// The first line of an answer in parts, and its end.
    case beginParts([UInt8])
    case endParts
  }

  private let collection: ExactString?
  private let jobs: Int
  private let volumes: VolumeCache
  private let pool = SlabPool()
  private let pipeline: OrderedPipeline<DecodeWorker, Work, Step>

  /// Serves volumes of `snapshot`, of one collection or of all, to `output`.
  ///
  /// - Throws: `ThreadRefused`.
  public init(
    _ snapshot: Snapshot, collection: ExactString?, to output: OutputFile, jobs: Int
  ) throws {
    self.collection = collection
    self.jobs = jobs
    volumes = VolumeCache(snapshot, collection: collection)
    output.widenPipe()
    let answers = Answers(output)
    pipeline = try OrderedPipeline(
      jobs: jobs, capacity: 16 + 8 * jobs,
      makeWorker: { DecodeWorker() },
      transform: { worker, work in
        switch work {
        case .whole(let volume, let slab, let head):
          do {
            try volume.decode(0..<slab.chunkCount, of: slab, with: worker)
            return .answer(slab, head)
          } catch {
            return .failed("\(error)")
          }
        case .chunks(let volume, let slab, let range):
          do {
            try volume.decode(range, of: slab, with: worker)
            return .decoded
          } catch {
            return .damaged("\(error)")
          }
        }
      },
      sink: { try answers.take($0) })
  }

  /// Takes one request, an id and a region with a space or a tab between them.
  ///
  /// - Throws: `IOFailure` if answers cannot be written; whatever else is wrong is an answer.
  public func take(_ request: [UInt8]) throws {
    do {
      let (volume, ranges) = try find(request)
      try answer(volume, ranges)
    } catch let refusal as Refusal {
      try refuse(refusal.problem, refusal.reason)
    }
  }

  /// Answers that a request is too long to be one.
  ///
  /// - Throws: `IOFailure` if answers cannot be written.
  public func refuse(tooLong maximum: Int) throws {
    try refuse(.request, "the request is over \(maximum) bytes long")
  }

  /// Waits until all answers are written.
  ///
  /// - Throws: `IOFailure` if answers cannot be written.
  public func end() throws { try pipeline.finish() }

  /// Ends the work where it stands.
  public func cancel() { pipeline.cancel() }

  // MARK: Requests

  /// Why a request cannot be answered.
  private struct Refusal: Error {
    var problem: Problem
    var reason: String
  }

  private func find(_ request: [UInt8]) throws(Refusal) -> (StoredVolume, [Range<Int>]) {
    // A client on another system may end its lines in CR LF.
    let line = request.last == 0x0D ? request.dropLast() : request[...]
    guard String(validating: line, as: UTF8.self) != nil else {
      throw Refusal(problem: .request, reason: "the request is not in UTF-8")
    }
    guard let sign = line.lastIndex(where: { $0 == 0x20 || $0 == 0x09 }),
      let id = ExactString(validating: line[..<sign]),
      let place = String(validating: line[(sign + 1)...], as: UTF8.self),
      let region = Region(place)
    else {
      throw Refusal(
        problem: .request, reason: "a request is OBS_ID X0:X1,Y0:Y1,Z0:Z1, with a space between")
    }
    let found: StoredVolume?
    do {
      found = try volumes.volume(id)
    } catch {
      throw Refusal(problem: .damage, reason: "\(error)")
    }
    guard let volume = found else {
      let place = collection.map { " in collection '\($0)'" } ?? ""
      throw Refusal(problem: .missing, reason: "no volume '\(id)'\(place)")
    }
    do throws(Region.Mismatch) {
      return (volume, try region.resolve(volume.header.shape))
    } catch {
      throw Refusal(problem: .region, reason: error.reason)
    }
  }

  private func refuse(_ problem: Problem, _ reason: String) throws {
    try pipeline.pass(.line(Self.error(problem, reason)))
  }

  private static func error(_ problem: Problem, _ reason: String) -> [UInt8] {
    JSON.encode([
      "error": .text(bounded(reason, 4096)), "kind": .string(problem.rawValue),
    ]) + [0x0A]
  }

  // MARK: Answers

  private func answer(_ volume: StoredVolume, _ ranges: [Range<Int>]) throws {
    let header = volume.header.window(ranges)
    if header.byteCount <= UInt64(Self.wholeAnswer) {
      return try decode(volume, ranges, Self.head(header, parts: nil))
    }
    let parts = RegionParts(ranges, voxelBytes: header.voxelBytes, maximumBytes: Self.partBytes)
    try pipeline.pass(.beginParts(Self.head(header, parts: parts.count)))
    for number in 0..<parts.count {
      let part = parts[number]
      let bytes = part.reduce(header.voxelBytes) { $0 * $1.count }
      try decode(volume, part, JSON.encode(["bytes": .integer(bytes)]) + [0x0A])
    }
    try pipeline.pass(.endParts)
  }

  /// Decodes a region and sends it behind the line `head`.
  private func decode(_ volume: StoredVolume, _ ranges: [Range<Int>], _ head: [UInt8]) throws {
    let grid = volume.grid.window(ranges, inOneSlab: true)
    let slab = try Slab(grid, 0, pool: pool, maximumBytes: .max) {
      preconditionFailure("a slab of any size is in memory")
    }
    // While others wait, each thread works on a request of its own, which spares them waking each
    // other; with nobody else to wait for, all work on this one.
    guard pipeline.isIdle else {
      return try pipeline.submit(.whole(volume, slab, head), cost: volume.decodingBytes)
    }
    let step = (slab.chunkCount + jobs - 1) / jobs
    for start in stride(from: 0, to: slab.chunkCount, by: step) {
      try pipeline.submit(
        .chunks(volume, slab, start..<min(slab.chunkCount, start + step)),
        cost: volume.decodingBytes)
    }
    try pipeline.pass(.answer(slab, head))
  }

  /// The line before the voxels.
  private static func head(_ header: VolumeHeader, parts: Int?) -> [UInt8] {
    var line: JSONObject = [
      "bytes": .integer(header.byteCount), "dtype": .text(header.dtype.rawValue),
      "channels": .integer(header.channels),
      "shape": .array(header.shape.map { .integer($0) }),
    ]
    line["parts"] = parts.map { .integer($0) }
    line["slope"] = header.slope.map { .real($0) }
    line["intercept"] = header.intercept.map { .real($0) }
    line["affine"] = header.affine.map { .matrix($0) }
    return JSON.encode(line) + [0x0A]
  }

  /// Writes answers; used on the pipeline's sink thread only.
  private final class Answers: @unchecked Sendable {
    private let output: OutputFile
    private var damage: String?
    private var isInParts = false
    /// Whether what is left of an answer in parts is left out, since an error has ended it.
    private var isBroken = false

    init(_ output: OutputFile) { self.output = output }

    func take(_ step: Step) throws {
      switch step {
      case .decoded: break
      case .damaged(let reason): damage = damage ?? reason
      case .answer(let slab, let head):
        if let reason = damage {
          damage = nil
          try fail(reason)
        } else if !isBroken {
          try head.withUnsafeBytes { try output.write($0, UnsafeRawBufferPointer(slab.band(0))) }
        }
      case .failed(let reason): try fail(reason)
      case .line(let line): try output.write(line)
      case .beginParts(let line):
        try output.write(line)
        isInParts = true
      case .endParts:
        isInParts = false
        isBroken = false
      }
    }

    private func fail(_ reason: String) throws {
      if isBroken { return }
      try output.write(RegionServer.error(.damage, reason))
      isBroken = isInParts
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
  private var volumes: [ExactString: (volume: StoredVolume, use: UInt64)] = [:]
  private var bytes = 0
  private var use: UInt64 = 0

  init(_ snapshot: Snapshot, collection: ExactString?) {
    catalogs = snapshot.catalogs(of: collection)
    opener = VolumeOpener(snapshot.dataset, maximumOpen: Self.maximumPacks)
  }

  /// The volume `id`; nil if there is none.
  func volume(_ id: ExactString) throws -> StoredVolume? {
    use += 1
    if let known = volumes[id]?.volume {
      volumes[id]?.use = use
      return known
    }
    guard let (stage, record) = try catalogs.record(TextDigest(id)) else { return nil }
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

internal import Storage
public import Frames
public import ByteIO

/// Looks for damage in a dataset: in its documents and in everything that one snapshot needs.
public struct Verifier {
  /// What was found to be wrong.
  public struct Finding: Sendable {
    /// The file, relative to where the dataset was named.
    public var file: String
    /// Where in the file, if it is known.
    public var offset: UInt64?
    /// The volume that it costs, if it is one.
    public var volume: String?
    /// The chunk of that volume, if it is one.
    public var chunk: Int?
    /// What is wrong.
    public var problem: String
    /// What it costs, if it is a whole pack or catalog that is missing or damaged.
    public var loss: Loss?

    /// It as JSON.
    public var json: JSONObject {
      var result: JSONObject = ["file": .text(file), "problem": .text(problem)]
      if let loss {
        result["stage"] = .text(loss.stage)
        result["collection"] = .string(loss.collection)
        result["volumes"] = .array(loss.volumes.map { .string($0) })
        result["neighbours"] = .array(loss.neighbours.map { .string($0) })
      }
      result["offset"] = offset.map { .integer($0) }
      result["volume"] = volume.map { .text($0) }
      result["chunk"] = chunk.map { .integer($0) }
      return result
    }

    /// The finding that an error is.
    public init(_ error: any Error) {
      switch error {
      case let error as FormatError:
        (file, offset) = (error.source, error.offset)
        (volume, chunk, problem) = (error.volume, error.chunk, error.reason)
      case let failure as IOFailure:
        (file, problem) = (failure.path, failure.description)
      default:
        (file, problem) = ("", "\(error)")
      }
    }
  }

  /// The volumes that a pack has to do with, in the snapshot.
  public struct Loss: Sendable {
    /// The stage of the pack.
    public var stage: String
    /// The collection of the stage.
    public var collection: ExactString
    /// The ids of the volumes that lie in the pack.
    public var volumes: [ExactString] = []
    /// Those of the other volumes of its stage, as long as which are there the pack is needed.
    public var neighbours: [ExactString] = []

    /// It in words, with the first ids only.
    public var words: String {
      if volumes.isEmpty, neighbours.isEmpty {
        return "it is of collection '\(collection)', whose volumes in it are not known"
      }
      let shown = 5
      let ids = volumes.prefix(shown).map { "'\(bounded($0.string, 100))'" }
      var text = "it holds \(counted(volumes.count, "volume")) of collection '\(collection)'"
      if !ids.isEmpty { text += ": " + ids.joined(separator: ", ") }
      if volumes.count > shown { text += " and \(volumes.count - shown) more" }
      if !neighbours.isEmpty { text += "; \(neighbours.count) of its stage lie in other packs" }
      return text
    }
  }

  /// A pack of the snapshot that is missing or damaged.
  private struct BadPack {
    var finding: Finding
    /// Whether none of its volumes can be read.
    var isLost: Bool
  }

  /// What was looked at.
  public struct Summary: Sendable {
    /// Manifests, catalogs, packs, tables.
    public var files: UInt64 = 0
    /// Volumes whose record was read.
    public var volumes: UInt64 = 0
    /// Bytes of the snapshot's files.
    public var bytes: UInt64 = 0
  }

  private let dataset: Dataset
  private let snapshot: UInt64?
  private let options: VolumeStreamer.Options
  private let report: @Sendable (Finding) -> Void

  /// Prepares to look at a snapshot, the last if nil.
  ///
  /// - Parameters:
  ///   - dataset: the dataset.
  ///   - snapshot: the snapshot's number.
  ///   - options: threads and progress, which counts bytes of files; `onDamage` is not used.
  ///   - report: gets what is found, on any thread.
  public init(
    _ dataset: Dataset, snapshot: UInt64?, options: VolumeStreamer.Options,
    report: @escaping @Sendable (Finding) -> Void
  ) {
    self.dataset = dataset
    self.snapshot = snapshot
    self.options = options
    self.report = report
  }

  /// Looks at documents, sizes and indexes; if `isFull`, at every digest and every chunk too.
  ///
  /// - Throws: `IOFailure` only for what has nothing to do with the dataset's state.
  public func run(isFull: Bool) throws -> Summary {
    var summary = Summary()
    guard let snapshot = try checkDocuments(&summary) else { return summary }
    let manifest = snapshot.manifest
    for file in manifest.files {
      summary.files += 1
      summary.bytes &+= file.bytes
    }
    var bad: [String: BadPack] = [:]
    let packs = Set(manifest.stages.flatMap { $0.packs.map(\.path) })
    for stage in manifest.stages {
      finding {
        _ = try dataset.open(stage.catalog)
      }
      for (number, pack) in stage.packs.enumerated() {
        do {
          try FileHeader.check(
            try dataset.open(pack), FileHeader.pack, stage: stage.stage, number: number)
        } catch {
          bad[pack.path] = BadPack(finding: Finding(error), isLost: true)
        }
      }
    }
    if let table = manifest.subjects?.file {
      finding { _ = try dataset.open(table) }
    }
    if let subjects = manifest.subjects { finding { try checkTable(subjects, isFull: isFull) } }
    if isFull {
      for (path, error) in try checkDigests(manifest.files.filter { bad[$0.path] == nil }) {
        if packs.contains(path) {
          bad[path] = BadPack(finding: Finding(error), isLost: false)
        } else {
          report(Finding(error))
        }
      }
    }
    summary.volumes = try checkVolumes(snapshot, bad, isFull: isFull)
    return summary
  }

  /// Runs `body`, whose error is a finding.
  private func finding(_ body: () throws -> Void) {
    do { try body() } catch { report(Finding(error)) }
  }

  // MARK: Documents

  /// Looks at manifests, stage records and `HEAD`; gives the snapshot, if it can be read.
  private func checkDocuments(_ summary: inout Summary) throws -> Snapshot? {
    var digests: [UInt64: String] = [:]
    var parents: [UInt64: Manifest.Parent] = [:]
    // Before the snapshots are listed: what it names must be among them, even if more are made now.
    let hint = Result { try dataset.hint() }
    let numbers = try dataset.snapshotNumbers()
    for number in numbers {
      summary.files += 1
      finding {
        guard let bytes = try dataset.manifestBytes(number) else { return }
        digests[number] = SHA256.digits(of: bytes)
        parents[number] = try dataset.decodeManifest(bytes, number).parent
      }
    }
    for (number, parent) in parents.sorted(by: { $0.key < $1.key }) {
      if let digest = digests[parent.snapshot], digest != parent.sha256 {
        report(
          Finding(
            FormatError(
              dataset.place(Layout.manifest(number)),
              "its parent, snapshot \(parent.snapshot), is not the one that it followed")))
      }
    }
    finding { try check(hint: try hint.get(), digests, last: numbers.last) }
    try checkStaged(Stage.self)
    try checkStaged(SubjectStage.self)
    guard let number = snapshot ?? numbers.last else { return nil }
    // One that cannot be read was reported already.
    return parents[number] != nil || number == 1 ? try? Snapshot(dataset, number: number) : nil
  }

  /// Looks at the records of what is staged.
  private func checkStaged<Content: Staged>(_ kind: Content.Type) throws {
    for id in try dataset.stagedIDs(kind) {
      finding { let _: Content? = try dataset.staged(id) }
    }
  }

  /// `HEAD` may be older than the last snapshot, but what it says must be true.
  private func check(
    hint: [UInt8]?, _ digests: [UInt64: String], last: UInt64?
  ) throws {
    guard let hint else { return }
    let parts = String(decoding: hint, as: UTF8.self).split(separator: " ")
    let number = parts.first.flatMap { UInt64($0) }
    // Of a snapshot that was removed since, nothing can be said.
    if let number, (1..<(last ?? 1)).contains(number), digests[number] == nil, parts.count == 2,
      !digests.values.contains(where: { parts[1] == "\($0)\n" })
    {
      return
    }
    guard let number, let digest = digests[number], hint == Array("\(number) \(digest)\n".utf8)
    else {
      throw FormatError(dataset.place(Layout.head), "it does not name a snapshot of this dataset")
    }
  }

  // MARK: Files

  /// Looks at the head of a subject table; if `isFull`, at all rows.
  private func checkTable(_ subjects: SubjectsEntry, isFull: Bool) throws {
    let table = try SubjectTableReader(
      try dataset.store.open(subjects.file.name, bytes: nil), rows: subjects.rows)
    while isFull, try table.next() != nil {}
  }

  /// The files whose digest is not the one recorded, and why.
  private func checkDigests(_ files: [FileEntry]) throws -> [(path: String, error: any Error)] {
    let (dataset, progress) = (self.dataset, options.progress)
    let found = Failures()
    let pipeline = try OrderedPipeline<Void, FileEntry, (path: String, error: any Error)?>(
      jobs: options.jobs, capacity: 2 + 2 * options.jobs, makeWorker: {},
      transform: { _, file in
        defer { progress(file.bytes) }
        do {
          try dataset.checkDigest(of: file)
          return nil
        } catch {
          return (file.path, error)
        }
      },
      sink: { if let failure = $0 { found.add(failure) } })
    for file in files { try pipeline.submit(file) }
    try pipeline.finish()
    return found.all
  }

  /// What one thread adds to at a time, and another reads when it has ended.
  private final class Failures: @unchecked Sendable {
    private(set) var all: [(path: String, error: any Error)] = []
    func add(_ failure: (path: String, error: any Error)) { all.append(failure) }
  }

  // MARK: Catalogs

  /// Looks at every page and record of every catalog, at the index of every shard, and for ids that
  /// occur twice; if `isFull`, at all that the records point to.
  ///
  /// Volumes in packs of `bad` that are lost are only counted; these packs are reported here, with
  /// all their volumes.
  ///
  /// - Returns: how many volumes were looked at.
  private func checkVolumes(
    _ snapshot: Snapshot, _ bad: [String: BadPack], isFull: Bool
  ) throws -> UInt64 {
    let report = self.report
    var options = self.options
    options.onDamage = { report(Finding($0)) }
    let streamer = try VolumeStreamer(snapshot, to: DiscardingSink(), options: options)
    let opener = VolumeOpener(dataset)
    var volumes: UInt64 = 0
    var keys: [TextDigest] = []
    do {
      for stage in snapshot.manifest.stages {
        let opened = Result { try dataset.catalog(stage) }
        guard case .success(let catalog) = opened else {
          finding { _ = try opened.get() }
          reportPacks(of: stage, bad, [])
          continue
        }
        let isDamaged = stage.packs.contains { bad[$0.path] != nil }
        var ids: [[ExactString]] = Array(repeating: [], count: isDamaged ? stage.packs.count : 0)
        try CatalogCheck(catalog, stage).run(
          onDamage: { report(Finding($0)) },
          onKey: { keys.append($0) },
          onRecord: { record in
            volumes += 1
            if isDamaged, stage.packs.indices.contains(record.pack) {
              ids[record.pack].append(record.obsID)
              if bad[stage.packs[record.pack].path]?.isLost == true { return }
            }
            if isFull {
              try streamer.add(record, of: stage)
            } else {
              finding { _ = try opener.open(record, of: stage) }
            }
          })
        reportPacks(of: stage, bad, ids)
      }
      try streamer.end()
    } catch {
      streamer.cancel()
      throw error
    }
    keys.sort()
    let twice = zip(keys, keys.dropFirst()).count { $0 == $1 }
    if twice > 0 {
      let manifest = dataset.place(Layout.manifest(snapshot.manifest.snapshot))
      report(Finding(FormatError(manifest, "\(twice) ids occur more than once")))
    }
    return volumes
  }
  /// Reports the packs of a stage that are missing or damaged.
  ///
  /// - Parameters:
  ///   - stage: the stage.
  ///   - bad: packs by their path.
  ///   - ids: those of the volumes in each pack; empty if its catalog cannot be read.
  private func reportPacks(of stage: Stage, _ bad: [String: BadPack], _ ids: [[ExactString]]) {
    for (number, pack) in stage.packs.enumerated() {
      guard var finding = bad[pack.path]?.finding else { continue }
      var loss = Loss(stage: stage.stage, collection: stage.collection)
      for (other, names) in ids.enumerated() {
        if other == number { loss.volumes = names } else { loss.neighbours += names }
      }
      finding.loss = loss
      report(finding)
    }
  }
}

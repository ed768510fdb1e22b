internal import ByteIO

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

    /// It as JSON.
    public var json: JSONObject {
      var result: JSONObject = ["file": .text(file), "problem": .text(problem)]
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
      finding { _ = try InputFile.recorded(dataset.file(file.path), bytes: file.bytes) }
    }
    if let subjects = manifest.subjects { finding { try checkTable(subjects, isFull: isFull) } }
    if isFull { try checkDigests(manifest.files) }
    summary.volumes = try checkVolumes(snapshot, isFull: isFull)
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
              dataset.file(Layout.manifest(number)),
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
      throw FormatError(dataset.file(Layout.head), "it does not name a snapshot of this dataset")
    }
  }

  // MARK: Files

  /// Looks at the head of a subject table; if `isFull`, at all rows.
  private func checkTable(_ subjects: SubjectsEntry, isFull: Bool) throws {
    let table = try SubjectTableReader(dataset.file(subjects.file.path), rows: subjects.rows)
    while isFull, try table.next() != nil {}
  }

  private func checkDigests(_ files: [FileEntry]) throws {
    let (dataset, report, progress) = (self.dataset, self.report, options.progress)
    let pipeline = try OrderedPipeline<Void, FileEntry, (any Error)?>(
      jobs: options.jobs, capacity: 2 * options.jobs, makeWorker: {},
      transform: { _, file in
        defer { progress(file.bytes) }
        do {
          try dataset.checkDigest(of: file)
          return nil
        } catch {
          return error
        }
      },
      sink: { error in if let error { report(Finding(error)) } })
    for file in files { try pipeline.submit(file) }
    try pipeline.finish()
  }

  // MARK: Catalogs

  /// Looks at every page and record of every catalog, at the index of every shard, and for ids that
  /// occur twice; if `isFull`, at all that the records point to.
  ///
  /// - Returns: how many volumes were looked at.
  private func checkVolumes(_ snapshot: Snapshot, isFull: Bool) throws -> UInt64 {
    let report = self.report
    var options = self.options
    options.onDamage = { report(Finding($0)) }
    let streamer = try VolumeStreamer(snapshot, to: DiscardingSink(), options: options)
    let opener = VolumeOpener(dataset)
    var volumes: UInt64 = 0
    var keys: [CatalogKey] = []
    do {
      for stage in snapshot.manifest.stages {
        let opened = Result { try dataset.catalog(stage) }
        guard case .success(let catalog) = opened else {
          finding { _ = try opened.get() }
          continue
        }
        try CatalogCheck(catalog, stage).run(
          onDamage: { report(Finding($0)) },
          onKey: { keys.append($0) },
          onRecord: { record in
            volumes += 1
            if isFull {
              try streamer.add(record, of: stage)
            } else {
              finding { _ = try opener.open(record, of: stage) }
            }
          })
      }
      try streamer.end()
    } catch {
      streamer.cancel()
      throw error
    }
    keys.sort()
    let twice = zip(keys, keys.dropFirst()).count { $0 == $1 }
    if twice > 0 {
      let manifest = dataset.file(Layout.manifest(snapshot.manifest.snapshot))
      report(Finding(FormatError(manifest, "\(twice) ids occur more than once")))
    }
    return volumes
  }
}

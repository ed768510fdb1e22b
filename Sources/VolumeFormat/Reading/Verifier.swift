internal import ByteIO

/// Looks for damage in a dataset: in its documents and in everything that one snapshot needs.
public struct Verifier {
  /// What was found to be wrong.
  public struct Finding: Sendable, Encodable {
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
    let sums = checkIndexes(manifest)
    if isFull { try checkDigests(manifest.files) }
    summary.volumes = try checkVolumes(snapshot, sums, isFull: isFull)
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
        digests[number] = bytes.withUnsafeBytes { hexadecimal(SHA256.of($0)) }
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
    for id in try dataset.stagedIDs(Stage.self) {
      finding { let _: Stage? = try dataset.staged(id) }
    }
    guard let number = snapshot ?? numbers.last else { return nil }
    // One that cannot be read was reported already.
    return parents[number] != nil || number == 1 ? try? Snapshot(dataset, number: number) : nil
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
    let pipeline = OrderedPipeline<Void, FileEntry, (any Error)?>(
      jobs: options.jobs, capacity: 2 * options.jobs, makeWorker: {},
      transform: { _, file in
        let path = dataset.file(file.path)
        do {
          let seal = try FileSeal(of: path)
          progress(file.bytes)
          return seal.sha256 == file.sha256
            ? nil : FormatError(path, "it does not match the SHA-256 that was recorded")
        } catch {
          return error
        }
      },
      sink: { error in if let error { report(Finding(error)) } })
    for file in files { try pipeline.submit(file) }
    try pipeline.finish()
  }

  // MARK: Catalogs

  /// What the records of a catalog add up to, so that index and records can be compared.
  private struct Sum: Equatable {
    var high: UInt64 = 0
    var low: UInt64 = 0
    var volumes: UInt64 = 0

    mutating func add(_ key: CatalogKey) {
      high ^= key.high
      low ^= key.low
      volumes &+= 1
    }
  }

  /// Looks at every page of every catalog's index, and for ids that occur twice.
  ///
  /// - Returns: for each stage whose index is whole, what its ids add up to.
  private func checkIndexes(_ manifest: Manifest) -> [String: Sum] {
    var keys: [CatalogKey] = []
    var sums: [String: Sum] = [:]
    for stage in manifest.stages {
      finding {
        let catalog = try dataset.catalog(stage)
        var last: CatalogKey?
        var sum = Sum()
        try catalog.forEachKey { key, _ in
          guard last.map({ $0 < key }) ?? true else {
            throw FormatError(catalog.path, "its index is not in order")
          }
          last = key
          keys.append(key)
          sum.add(key)
        }
        guard sum.volumes == stage.volumes else {
          throw FormatError(
            catalog.path, "its index has \(sum.volumes) volumes, its stage \(stage.volumes)")
        }
        sums[stage.stage] = sum
      }
    }
    keys.sort()
    let twice = zip(keys, keys.dropFirst()).count { $0 == $1 }
    if twice > 0 {
      report(
        Finding(
          FormatError(
            dataset.file(Layout.manifest(manifest.snapshot)), "\(twice) ids occur more than once")))
    }
    return sums
  }

  /// Looks at every record and the index of its shard; if `isFull`, at all that it points to.
  private func checkVolumes(
    _ snapshot: Snapshot, _ sums: [String: Sum], isFull: Bool
  ) throws -> UInt64 {
    let report = self.report
    var options = self.options
    options.onDamage = { report(Finding($0)) }
    let streamer = VolumeStreamer(snapshot, to: DiscardingSink(), options: options)
    let opener = VolumeOpener(dataset)
    var volumes: UInt64 = 0
    var found: [String: (sum: Sum, rawBytes: UInt64)] = [:]
    do {
      try snapshot.forEachVolume(
        onDamage: { error, _ in report(Finding(error)) },
        { stage, record in
          volumes += 1
          found[stage.stage, default: (Sum(), 0)].sum.add(CatalogKey(record.obsID))
          found[stage.stage, default: (Sum(), 0)].rawBytes &+= record.rawBytes
          if isFull {
            try streamer.add(record, of: stage)
          } else {
            finding { _ = try opener.open(record, of: stage) }
          }
          return true
        })
      try streamer.end()
    } catch {
      streamer.cancel()
      throw error
    }
    for stage in snapshot.manifest.stages {
      guard let sum = sums[stage.stage], let (records, rawBytes) = found[stage.stage] else {
        continue
      }
      // Records that could not be read were reported already.
      guard records.volumes == stage.volumes else { continue }
      finding {
        guard records == sum, rawBytes == stage.rawBytes else {
          throw FormatError(
            dataset.file(stage.catalog.path), "its records are not those of its index or its stage")
        }
      }
    }
    return volumes
  }
}

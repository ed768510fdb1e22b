internal import Frames
internal import ByteIO

/// A dataset directory; see vol-dataset(5).
public struct Dataset: Sendable {
  /// The directory.
  public let path: String
  /// The id that all of its documents carry.
  public let id: String

  /// Opens an existing dataset.
  ///
  /// - Throws: `IOFailure` if there is no such directory; `DatasetError` if it is something else.
  public init(opening path: String) throws {
    self.path = path
    let marker = "\(path)/\(Layout.marker)"
    guard let bytes = try Self.readIfPresent(marker, maximum: 1 << 16) else {
      _ = try directoryEntries(path)
      throw DatasetError.notADataset(path)
    }
    try Self.refuseLinks(path)
    id = try DatasetMarker(SealedDocument.parse(bytes, in: marker)).datasetID
  }

  /// Opens a dataset, making it if there is nothing at `path` or an empty directory.
  ///
  /// Any number of processes may do this at once.
  public static func create(_ path: String) throws -> Dataset {
    try Publishing.makeDirectories(path)
    if try readIfPresent("\(path)/\(Layout.marker)", maximum: 1 << 16) == nil {
      try makeMarker(path)
    }
    let dataset = try Dataset(opening: path)
    for directory in Layout.directories {
      try Publishing.makeDirectory(dataset.file(directory))
    }
    return dataset
  }

  /// Refuses a dataset whose folders are links: what is written to it, or removed from it, would be
  /// another's.
  private static func refuseLinks(_ path: String) throws {
    for name in Layout.directories + [Layout.head] where isSymbolicLink("\(path)/\(name)") {
      throw FormatError(
        "\(path)/\(name)", "it is a symbolic link, which no part of a dataset may be")
    }
  }

  private static func makeMarker(_ path: String) throws {
    // Dot files: another creator's temporary file, or what a file manager leaves.
    let others = try directoryEntries(path).filter { !$0.hasPrefix(".") && $0 != Layout.marker }
    if let other = others.first {
      // Another creator may have come in between, and gone on to make its directories.
      if fileExists("\(path)/\(Layout.marker)") { return }
      throw DatasetError.obstructed(path, by: other)
    }
    let marker = DatasetMarker(datasetID: randomIdentifier(), created: timestamp())
    let temporary = Layout.temporary(path, "volpipe-\(randomIdentifier())")
    try Publishing.write(SealedDocument.encode(marker.json), to: temporary)
    // Where the name is taken, another process was first, and its marker counts.
    do {
      _ = try Publishing.claim("\(path)/\(Layout.marker)", with: temporary)
    } catch {
      throw error.isNoSuchStep ? DatasetError.noClaims(path) : error
    }
  }

  /// The path of a file of the dataset.
  func file(_ relative: String) -> String { "\(path)/\(relative)" }

  /// Reads a file whole and compares its digest with the one recorded.
  ///
  /// - Parameters:
  ///   - entry: the file.
  ///   - consequence: what the message says behind the fault.
  /// - Throws: `FormatError` if it is another; `IOFailure`.
  func checkDigest(of entry: FileEntry, consequence: String = "") throws {
    let path = file(entry.path)
    guard try FileSeal(of: path).sha256 == entry.sha256 else {
      throw FormatError(path, "it does not match the SHA-256 that was recorded\(consequence)")
    }
  }

  /// What to call a file of the dataset in a message.
  public func name(of entry: FileEntry) -> String { file(entry.path) }

  // MARK: Snapshots

  /// The numbers of all snapshots, in order.
  public func snapshotNumbers() throws -> [UInt64] {
    try names(in: Layout.manifests).compactMap(Layout.manifestNumber).sorted()
  }

  /// The manifest of snapshot `number`, or of the last one; nil if there is none.
  public func manifest(_ number: UInt64? = nil) throws -> Manifest? {
    guard let number = try number ?? snapshotNumbers().last,
      let bytes = try manifestBytes(number)
    else { return nil }
    return try decodeManifest(bytes, number)
  }

  /// The manifest of snapshot `number` that these bytes are.
  func decodeManifest(_ bytes: [UInt8], _ number: UInt64) throws -> Manifest {
    let source = file(Layout.manifest(number))
    let manifest = try Manifest(SealedDocument.parse(bytes, in: source))
    guard manifest.datasetID == id else { throw FormatError(source, "it is of another dataset") }
    if let defect = manifest.defect(number: number) { throw FormatError(source, defect) }
    return manifest
  }

  /// The manifest of snapshot `number` as it stands in its file; nil if there is none.
  public func manifestBytes(_ number: UInt64) throws -> [UInt8]? {
    try Self.readIfPresent(file(Layout.manifest(number)), maximum: Manifest.maximumSize)
  }

  /// Throws unless snapshot `number` has the digest that is given, and snapshot `last` is it or
  /// descends from it.
  ///
  /// - Throws: `FormatError`: what was rolled back to an earlier state, or is another dataset, shows
  ///   so; `IOFailure`.
  public func require(_ number: UInt64, sha256: String?, before last: UInt64) throws {
    let source = file(Layout.manifest(number))
    guard number <= last, let bytes = try manifestBytes(number) else {
      throw FormatError(
        path,
        "it is at snapshot \(last), and has no snapshot \(number) as expected: was it "
          + "rolled back?")
    }
    var digest = SHA256.digits(of: bytes)
    guard sha256 ?? digest == digest else {
      throw FormatError(source, "it is not the snapshot \(number) that was expected")
    }
    var next = number
    while next < last {
      next += 1
      guard let bytes = try manifestBytes(next) else {
        throw FormatError(
          path, "snapshot \(next) is gone, so that nothing leads from \(number) to \(last)")
      }
      guard try decodeManifest(bytes, next).parent?.sha256 == digest else {
        throw FormatError(
          file(Layout.manifest(next)), "its parent is not the snapshot \(next - 1) that is there")
      }
      digest = SHA256.digits(of: bytes)
    }
  }

  /// The digest of the manifest of snapshot `number`; nil if there is none.
  public func digest(ofSnapshot number: UInt64) throws -> String? {
    try manifestBytes(number).map(SHA256.digits)
  }

  /// What `HEAD` holds; nil if it does not exist.
  func hint() throws -> [UInt8]? { try Self.readIfPresent(file(Layout.head), maximum: 128) }

  // MARK: What is staged

  /// What lies in the dataset and is not committed.
  public struct Pending: Sendable {
    /// The finished stages, in order of their creation, then of id; those of a run once all of them
    /// are there.
    public var stages: [Stage] = []
    /// The stages of runs that are not whole: that were cut off, or are just being published.
    public var cut: [Stage] = []
    /// The subject tables, in order of their creation, then of id.
    public var tables: [SubjectStage] = []
    /// Why records cannot be read, which are left where they are.
    public var damage: [any Error] = []
  }

  /// What is staged and was committed neither by the snapshot of `manifest` nor before it.
  ///
  /// - Parameters:
  ///   - manifest: the current snapshot's; nil if there is none.
  ///   - withTables: whether subject tables are wanted, too.
  /// - Returns: what is staged.
  /// - Throws: `IOFailure` if the records cannot be listed.
  public func pending(besides manifest: Manifest?, withTables: Bool = true) throws -> Pending {
    let committed = manifest?.committedIDs ?? []
    var result = Pending()
    let stages: [Stage] = try pending(besides: committed, &result.damage)
    if withTables { result.tables = try pending(besides: committed, &result.damage) }
    let counts = stages.reduce(into: [:]) { $0[$1.run?.id, default: 0] += 1 }
    for stage in stages {
      if let run = stage.run, counts[run.id] != run.stages {
        result.cut.append(stage)
      } else {
        result.stages.append(stage)
      }
    }
    return result
  }

  private func pending<Content: Staged>(
    besides committed: Set<String>, _ damage: inout [any Error]
  ) throws -> [Content] {
    var found: [Content] = []
    for id in try stagedIDs(Content.self) where !committed.contains(id) {
      let record: Result<Content?, any Error> = Result { try staged(id) }
      switch record {
      case .success(let content): if let content { found.append(content) }
      case .failure(let error): damage.append(error)
      }
    }
    return found.sorted { $0.precedes($1) }
  }

  /// The ids of all records of this kind that lie in the dataset.
  func stagedIDs<Content: Staged>(_ kind: Content.Type) throws -> [String] {
    try names(in: Layout.stages).compactMap { Layout.recordID($0, Content.recordEnding) }
  }

  /// What is staged under `id`; nil if there is no record of it.
  func staged<Content: Staged>(_ id: String) throws -> Content? {
    let source = record(of: id, Content.self)
    guard let bytes = try Self.readIfPresent(source, maximum: Content.maximumRecord) else {
      return nil
    }
    let record = try StagedRecord<Content>(SealedDocument.parse(bytes, in: source))
    guard record.datasetID == self.id else { throw FormatError(source, "it is of another dataset") }
    guard record.content.stage == id else { throw FormatError(source, "it is of another stage") }
    if let defect = record.content.defect() { throw FormatError(source, defect) }
    return record.content
  }

  /// The path of a record.
  func record<Content: Staged>(of id: String, _ kind: Content.Type) -> String {
    file(Layout.record(id, Content.recordEnding))
  }

  /// Publishes the record of what is staged, all of whose files are on disk; no part of it stays on
  /// failure.
  func publish<Content: Staged>(_ content: Content) throws {
    let document = SealedDocument.encode(StagedRecord(datasetID: id, content).json)
    // Only many packs make a record long.
    guard document.count <= Content.maximumRecord else {
      throw FormatError(
        content.stage, "its record would be over 16 MiB; choose a larger --pack-size")
    }
    let path = record(of: content.stage, Content.self)
    let temporary = file(Layout.temporary(Layout.stages, content.stage))
    try Publishing.write(document, to: temporary)
    do {
      try Publishing.rename(temporary, to: path)
    } catch {
      // The rename may be done and only its flush have failed: no record may outlive its files.
      try? Publishing.remove(path)
      try? Publishing.remove(temporary)
      throw error
    }
  }

  /// Takes back the record of what is staged and not committed.
  func withdraw<Content: Staged>(_ content: Content) throws {
    try Publishing.remove(record(of: content.stage, Content.self))
  }

  /// Opens the catalog of a stage.
  public func catalog(_ stage: Stage) throws -> CatalogReader {
    try CatalogReader(file(stage.catalog.path), stage: stage.stage, bytes: stage.catalog.bytes)
  }

  /// The names in a directory of the dataset, none if its first writer has not made it yet.
  func names(in directory: String) throws -> [String] {
    let result = Result { () throws(IOFailure) in try directoryEntries(file(directory)) }
    if case .failure(let failure) = result, failure.isNotFound { return [] }
    return try result.get()
  }

  /// All of a file of at most `maximum` bytes, or nil if it does not exist.
  private static func readIfPresent(_ path: String, maximum: Int) throws -> [UInt8]? {
    let opened = Result { try InputFile.regular(path) }
    if case .failure(let failure as IOFailure) = opened, failure.isNotFound { return nil }
    let (file, size) = try opened.get()
    guard size <= UInt64(maximum) else {
      throw FormatError(path, "it is over \(maximum) bytes long")
    }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return Array(bytes[..<count])
  }
}

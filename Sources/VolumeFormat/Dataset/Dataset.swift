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
    let decoded = try SealedDocument.decode(DatasetMarker.self, from: bytes, in: marker)
    guard Names.isHexadecimal(decoded.datasetID, count: 32) else {
      throw FormatError(marker, "'dataset_id' is not 32 hexadecimal digits")
    }
    id = decoded.datasetID
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
    try Publishing.write(try SealedDocument.encode(marker), to: temporary)
    // Where the name is taken, another process was first, and its marker counts.
    let result = Result { try Publishing.link(temporary, to: "\(path)/\(Layout.marker)") }
    try Publishing.remove(temporary)
    _ = try result.get()
  }

  /// The path of a file of the dataset.
  func file(_ relative: String) -> String { "\(path)/\(relative)" }

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
    let manifest = try SealedDocument.decode(Manifest.self, from: bytes, in: source)
    guard manifest.datasetID == id else { throw FormatError(source, "it is of another dataset") }
    if let defect = manifest.defect(number: number) { throw FormatError(source, defect) }
    return manifest
  }

  /// The manifest of snapshot `number` as it stands in its file; nil if there is none.
  public func manifestBytes(_ number: UInt64) throws -> [UInt8]? {
    try Self.readIfPresent(file(Layout.manifest(number)), maximum: Manifest.maximumSize)
  }

  /// What `HEAD` holds; nil if it does not exist.
  func hint() throws -> [UInt8]? { try Self.readIfPresent(file(Layout.head), maximum: 128) }

  // MARK: Stages

  /// The finished stages that `manifest` does not hold, in order of their creation, then of id.
  public func pendingStages(besides manifest: Manifest?) throws -> [Stage] {
    let committed = Set(manifest?.stages.map(\.stage) ?? [])
    return try stageIDs().filter { !committed.contains($0) }
      .compactMap { try stage($0) }
      .sorted { ($0.created, $0.stage) < ($1.created, $1.stage) }
  }

  /// The ids of all stage records that lie in the dataset.
  func stageIDs() throws -> [String] {
    try names(in: Layout.stages).compactMap(Layout.stageID)
  }

  /// The ids of all records of staged subject tables that lie in the dataset.
  func tableIDs() throws -> [String] { try names(in: Layout.stages).compactMap(Layout.tableID) }

  /// The finished stage `id`; nil if there is no record of it.
  func stage(_ id: String) throws -> Stage? {
    let source = file(Layout.stage(id))
    guard let bytes = try Self.readIfPresent(source, maximum: StageRecord.maximumSize) else {
      return nil
    }
    let record = try SealedDocument.decode(StageRecord.self, from: bytes, in: source)
    guard record.datasetID == self.id else { throw FormatError(source, "it is of another dataset") }
    guard record.stage.stage == id else { throw FormatError(source, "it is of another stage") }
    if let defect = record.stage.defect() { throw FormatError(source, defect) }
    return record.stage
  }

  /// The staged subject tables that `manifest` does not hold, in order of their creation.
  public func pendingTables(besides manifest: Manifest?) throws -> [SubjectStage] {
    let committed = Set(manifest?.subjects?.stages ?? [])
    return try tableIDs().filter { !committed.contains($0) }
      .compactMap { try table($0) }
      .sorted { ($0.created, $0.stage) < ($1.created, $1.stage) }
  }

  /// The staged subject table `id`; nil if there is no record of it.
  func table(_ id: String) throws -> SubjectStage? {
    let source = file(Layout.tableRecord(id))
    guard let bytes = try Self.readIfPresent(source, maximum: 1 << 16) else { return nil }
    let record = try SealedDocument.decode(SubjectStageRecord.self, from: bytes, in: source)
    guard record.datasetID == self.id else { throw FormatError(source, "it is of another dataset") }
    guard record.stage.stage == id else { throw FormatError(source, "it is of another stage") }
    if let defect = record.stage.defect() { throw FormatError(source, defect) }
    return record.stage
  }

  /// Publishes the record of a staged subject table, whose file is on disk.
  func publish(_ stage: SubjectStage) throws {
    try publishRecord(
      try SealedDocument.encode(SubjectStageRecord(datasetID: id, stage: stage)),
      stage: stage.stage, as: Layout.tableRecord(stage.stage))
  }

  /// Gives a record its name, when all that it names is on disk; no part of it stays on failure.
  func publishRecord(_ document: [UInt8], stage: String, as path: String) throws {
    let temporary = file(Layout.temporary(Layout.stages, stage))
    try Publishing.write(document, to: temporary)
    do {
      try Publishing.rename(temporary, to: file(path))
    } catch {
      // The rename may be done and only its flush have failed: no record may outlive its files.
      try? Publishing.remove(file(path))
      try? Publishing.remove(temporary)
      throw error
    }
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

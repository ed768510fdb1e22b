/// The JSON documents of a dataset; see vol-dataset(5).

/// `volpipe.json`: what the directory is.
struct DatasetMarker: Codable {
  static let format = "volpipe-dataset"
  var datasetID: String
  var created: String

  enum CodingKeys: String, CodingKey {
    case format, version, created
    case datasetID = "dataset_id"
  }

  init(datasetID: String, created: String) {
    self.datasetID = datasetID
    self.created = created
  }

  init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    try checkFormat(c, .format, .version, Self.format, decoder)
    datasetID = try c.decode(String.self, forKey: .datasetID)
    created = try c.decode(String.self, forKey: .created)
  }

  func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(Self.format, forKey: .format)
    try c.encode(currentVersion, forKey: .version)
    try c.encode(datasetID, forKey: .datasetID)
    try c.encode(created, forKey: .created)
  }
}

/// The version that is written of these documents; earlier ones are read.
private let currentVersion = 2

/// A file that a stage or a manifest names.
public struct FileEntry: Codable, Sendable, Equatable {
  /// Path relative to the dataset.
  public var path: String
  /// Size.
  public var bytes: UInt64
  /// 64 hexadecimal digits.
  public var sha256: String
}

/// How a stage was asked to encode; for information.
public struct CodecInfo: Codable, Sendable, Equatable {
  /// The codec, the only one of version 1.
  public var name = "blosc-zstd"
  /// Zstandard level.
  public var level: Int
  /// Whether bytes were to be shuffled.
  public var shuffle: Bool
  /// The chunk shape asked for.
  public var chunk: String
}

/// The finished output of one `vol-write`.
public struct Stage: Codable, Sendable, Equatable {
  /// Its id, 32 hexadecimal digits.
  public var stage: String
  /// The collection that its volumes belong to.
  public var collection: String
  /// When it was finished, UTC.
  public var created: String
  /// Program and version that wrote it.
  public var tool: String
  /// Number of volumes.
  public var volumes: UInt64
  /// Bytes of their voxels.
  public var rawBytes: UInt64
  /// Bytes of its packs and its catalog.
  public var storedBytes: UInt64
  /// How it was asked to be encoded.
  public var codec: CodecInfo
  /// The catalog.
  public var catalog: FileEntry
  /// The packs, in the order of their numbers.
  public var packs: [FileEntry]
  /// Whether volumes of the snapshot with the same ids are to be removed; until it is committed.
  public var replaces: Bool?

  enum CodingKeys: String, CodingKey {
    case stage, collection, created, tool, volumes, codec, catalog, packs, replaces
    case rawBytes = "raw_bytes"
    case storedBytes = "stored_bytes"
  }

  /// All files of the stage.
  public var files: [FileEntry] { packs + [catalog] }

  /// What makes this unusable, or nil.
  func defect() -> String? {
    guard Names.isHexadecimal(stage, count: 32) else { return "'stage' is not an id" }
    if let defect = Names.defect(ofCollection: collection) {
      return "the name of its collection is not allowed: \(defect)"
    }
    guard catalog.path == Layout.catalog(stage) || Layout.isRevision(catalog.path, of: stage) else {
      return "'catalog' is not \(Layout.catalog(stage)) or a revision of it"
    }
    guard !packs.isEmpty else { return "it names no pack" }
    for (number, pack) in packs.enumerated() where pack.path != Layout.pack(stage, number) {
      return "pack \(number) is not \(Layout.pack(stage, number))"
    }
    guard files.allSatisfy({ Names.isHexadecimal($0.sha256, count: 64) }) else {
      return "a 'sha256' is not 64 hexadecimal digits"
    }
    return nil
  }
}

/// What a writer stages: it has a record in `stages/` until it is committed.
protocol Staged: Codable {
  /// The record's `format`.
  static var format: String { get }
  /// What follows the id in the record's file name.
  static var recordEnding: String { get }
  /// The longest record, in bytes.
  static var maximumRecord: Int { get }
  /// Its id, 32 hexadecimal digits.
  var stage: String { get }
  /// When it was finished, UTC.
  var created: String { get }
  /// What makes it unusable, or nil.
  func defect() -> String?
}

extension Staged {
  /// Whether this is committed before `other`.
  func precedes(_ other: Self) -> Bool { (created, stage) < (other.created, other.stage) }
}

extension Stage: Staged {
  static let format = "volpipe-stage"
  static let recordEnding = ".json"
  static let maximumRecord = 16 << 20
}

extension SubjectStage: Staged {
  static let format = "volpipe-subjects-stage"
  static let recordEnding = "-subjects.json"
  static let maximumRecord = 1 << 16
}

/// The record of what is staged, whose keys stand beside its own.
struct StagedRecord<Content: Staged>: Codable {
  var datasetID: String
  var content: Content

  private enum CodingKeys: String, CodingKey {
    case format, version
    case datasetID = "dataset_id"
  }

  init(datasetID: String, _ content: Content) {
    self.datasetID = datasetID
    self.content = content
  }

  init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    try checkFormat(c, .format, .version, Content.format, decoder)
    datasetID = try c.decode(String.self, forKey: .datasetID)
    content = try Content(from: decoder)
  }

  func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(Content.format, forKey: .format)
    try c.encode(currentVersion, forKey: .version)
    try c.encode(datasetID, forKey: .datasetID)
    try content.encode(to: encoder)
  }
}

/// The subject table of a snapshot.
public struct SubjectsEntry: Codable, Sendable, Equatable {
  /// Its file.
  public var file: FileEntry
  /// Number of rows.
  public var rows: UInt64
  /// The staged tables that the commit of this snapshot merged into it.
  public var stages: [String]

  enum CodingKeys: String, CodingKey {
    case rows, stages
  }

  /// Makes an entry.
  init(file: FileEntry, rows: UInt64, stages: [String]) {
    self.file = file
    self.rows = rows
    self.stages = stages
  }

  /// Decodes an entry, whose file's keys stand beside the others.
  public init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    file = try FileEntry(from: decoder)
    rows = try c.decode(UInt64.self, forKey: .rows)
    stages = try c.decode([String].self, forKey: .stages)
  }

  /// Encodes it so.
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(rows, forKey: .rows)
    try c.encode(stages, forKey: .stages)
    try file.encode(to: encoder)
  }

  /// What makes this unusable, or nil.
  func defect() -> String? {
    guard Layout.isSubjects(file.path) else { return "'path' is not that of a subject table" }
    guard Names.isHexadecimal(file.sha256, count: 64) else {
      return "a 'sha256' is not 64 hexadecimal digits"
    }
    guard stages.allSatisfy({ Names.isHexadecimal($0, count: 32) }) else {
      return "a stage is not an id"
    }
    return nil
  }
}

/// `manifests/N.json`: one snapshot.
public struct Manifest: Sendable, Equatable {
  static let format = "volpipe-manifest"
  static let maximumSize = 64 << 20

  /// The snapshot before.
  public struct Parent: Codable, Sendable, Equatable {
    /// Its number.
    public var snapshot: UInt64
    /// The digest of its manifest, 64 hexadecimal digits.
    public var sha256: String
  }

  /// Sums over a collection.
  public struct Totals: Codable, Sendable, Equatable {
    /// Number of volumes.
    public var volumes: UInt64 = 0
    /// Bytes of their voxels.
    public var rawBytes: UInt64 = 0
    /// Bytes of packs and catalogs.
    public var storedBytes: UInt64 = 0

    enum CodingKeys: String, CodingKey {
      case volumes
      case rawBytes = "raw_bytes"
      case storedBytes = "stored_bytes"
    }

    static func + (a: Self, b: Self) -> Self? {
      let volumes = a.volumes.addingReportingOverflow(b.volumes)
      let raw = a.rawBytes.addingReportingOverflow(b.rawBytes)
      let stored = a.storedBytes.addingReportingOverflow(b.storedBytes)
      if volumes.overflow || raw.overflow || stored.overflow { return nil }
      return Self(
        volumes: volumes.partialValue, rawBytes: raw.partialValue,
        storedBytes: stored.partialValue)
    }
  }

  /// The dataset that it belongs to.
  public var datasetID: String
  /// Its number, from 1.
  public var snapshot: UInt64
  /// The snapshot before; nil in the first.
  public var parent: Parent?
  /// Random: tells a committer its own manifest from another's.
  public var commitID: String
  /// When it was committed, UTC.
  public var created: String
  /// Program and version that committed it.
  public var tool: String
  /// What the user gave with the commit.
  public var metadata: [String: JSONValue]
  /// The sums over each collection, by name.
  public var collections: [String: Totals]
  /// The committed stages, in order.
  public var stages: [Stage]
  /// The subject table, if there is one.
  public var subjects: SubjectsEntry?

  /// All files that it needs, in order.
  public var files: [FileEntry] { stages.flatMap(\.files) + (subjects.map { [$0.file] } ?? []) }

  /// The sums of `stages` by collection; nil if they overflow.
  static func totals(of stages: [Stage]) -> [String: Totals]? {
    var result: [String: Totals] = [:]
    for stage in stages {
      let own = Totals(
        volumes: stage.volumes, rawBytes: stage.rawBytes, storedBytes: stage.storedBytes)
      guard let sum = result[stage.collection, default: Totals()] + own else { return nil }
      result[stage.collection] = sum
    }
    return result
  }

  /// What makes this unusable, or nil.
  func defect(number: UInt64) -> String? {
    guard snapshot == number else { return "it says that it is snapshot \(snapshot)" }
    guard number == 1 ? parent == nil : parent?.snapshot == number - 1 else {
      return "its parent is not the snapshot before"
    }
    var seen: Set<String> = []
    for stage in stages {
      if let defect = stage.defect() { return "stage '\(stage.stage)': \(defect)" }
      guard seen.insert(stage.stage).inserted else { return "it names '\(stage.stage)' twice" }
    }
    if let defect = subjects?.defect() { return "its subject table: \(defect)" }
    guard Names.firstSpeltTwoWays(stages.map(\.collection)) == nil,
      Self.totals(of: stages) == collections
    else {
      return "the sums in 'collections' are not those of its stages"
    }
    return nil
  }
}

extension Manifest: Codable {
  enum CodingKeys: String, CodingKey {
    case format, version, snapshot, parent, created, tool, metadata, collections, stages, subjects
    case datasetID = "dataset_id"
    case commitID = "commit_id"
  }

  /// Decodes a manifest, of a format and version that are known.
  public init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    try checkFormat(c, .format, .version, Self.format, decoder)
    datasetID = try c.decode(String.self, forKey: .datasetID)
    snapshot = try c.decode(UInt64.self, forKey: .snapshot)
    parent = try c.decode(Parent?.self, forKey: .parent)
    commitID = try c.decode(String.self, forKey: .commitID)
    created = try c.decode(String.self, forKey: .created)
    tool = try c.decode(String.self, forKey: .tool)
    metadata = try c.decode([String: JSONValue].self, forKey: .metadata)
    collections = try c.decode([String: Totals].self, forKey: .collections)
    stages = try c.decode([Stage].self, forKey: .stages)
    subjects = try c.decodeIfPresent(SubjectsEntry.self, forKey: .subjects)
  }

  /// Encodes the manifest.
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(Self.format, forKey: .format)
    try c.encode(currentVersion, forKey: .version)
    try c.encode(datasetID, forKey: .datasetID)
    try c.encode(snapshot, forKey: .snapshot)
    try c.encode(parent, forKey: .parent)
    try c.encode(commitID, forKey: .commitID)
    try c.encode(created, forKey: .created)
    try c.encode(tool, forKey: .tool)
    try c.encode(metadata, forKey: .metadata)
    try c.encode(collections, forKey: .collections)
    try c.encode(stages, forKey: .stages)
    try c.encode(subjects, forKey: .subjects)
  }
}

/// Throws unless the document says that it is of `format`, version 1.
private func checkFormat<Key: CodingKey>(
  _ container: KeyedDecodingContainer<Key>, _ formatKey: Key, _ versionKey: Key, _ format: String,
  _ decoder: any Decoder
) throws {
  let source = decoder.userInfo[JSON.sourceKey] as? String ?? format
  guard try container.decode(String.self, forKey: formatKey) == format else {
    throw FormatError(source, "its 'format' is not \(format)")
  }
  let version = try container.decode(Int.self, forKey: versionKey)
  guard (1...currentVersion).contains(version) else {
    throw FormatError(
      source,
      "version \(version) of \(format); this program knows versions 1 to \(currentVersion): "
        + "use a newer volpipe")
  }
  guard version == 1 || decoder.userInfo[JSON.sealedKey] as? Bool == true else {
    throw FormatError(source, "it does not end in its SHA-256: it was changed or cut off")
  }
}

public import ByteIO
public import Frames

/// The JSON documents of a dataset; see vol-dataset(5).

/// `volpipe.json`: what the directory is.
struct DatasetMarker {
  static let format = "volpipe-dataset"
  var datasetID: String
  var created: String

  var json: JSONObject {
    [
      "format": .text(Self.format), "version": .integer(currentVersion),
      "dataset_id": .text(datasetID), "created": .text(created),
    ]
  }
}

extension DatasetMarker {
  init(_ node: JSONNode) throws(FormatError) {
    try checkFormat(node, Self.format)
    datasetID = try node.required("dataset_id").identifier()
    created = try node.required("created").time()
  }
}

/// The version that is written of these documents; earlier ones are read.
private let currentVersion: Int64 = 2

/// The version of a manifest with `committed`, which who does not know it would lose.
private let listingVersion: Int64 = 3

/// A file that a stage or a manifest names.
public struct FileEntry: Sendable, Equatable {
  /// Path relative to the dataset.
  public var path: String
  /// Size.
  public var bytes: UInt64
  /// 64 hexadecimal digits.
  public var sha256: String

  var json: JSONObject {
    ["path": .text(path), "bytes": .integer(bytes), "sha256": .text(sha256)]
  }

  /// Whether its path is `path`, letter for letter.
  func lies(at path: String) -> Bool { ExactString(self.path) == ExactString(path) }
}

extension FileEntry {
  init(_ node: JSONNode) throws(FormatError) {
    path = try node.required("path").string().string
    bytes = try node.required("bytes").size()
    sha256 = try node.required("sha256").digest()
  }
}

/// How a stage was asked to encode; for information.
public struct CodecInfo: Sendable, Equatable {
  /// The codec, the only one of version 1.
  public var name = "blosc-zstd"
  /// Zstandard level.
  public var level: Int
  /// Whether bytes were to be shuffled.
  public var shuffle: Bool
  /// The chunk shape asked for.
  public var chunk: String

  var json: JSONObject {
    [
      "name": .text(name), "level": .integer(level), "shuffle": .boolean(shuffle),
      "chunk": .text(chunk),
    ]
  }
}

extension CodecInfo {
  init(_ node: JSONNode) throws(FormatError) {
    name = try node.required("name").string().string
    level = try node.required("level").integer()
    shuffle = try node.required("shuffle").boolean()
    chunk = try node.required("chunk").string().string
  }
}

/// The finished output of one `vol-write`.
public struct Stage: Sendable, Equatable {
  /// Its id, 32 hexadecimal digits.
  public var stage: String
  /// The collection that its volumes belong to.
  public var collection: ExactString
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
  /// The run that wrote it, if that wrote several; until it is committed.
  public var run: Run?

  /// A run of `vol-write` that filled several collections: its stages are committed together.
  public struct Run: Sendable, Equatable {
    /// Its id, 32 hexadecimal digits.
    public var id: String
    /// How many stages it wrote.
    public var stages: Int

    /// So many one run may write.
    public static let maximumStages = 200
  }

  var json: JSONObject {
    var result: JSONObject = [
      "stage": .text(stage), "collection": .string(collection), "created": .text(created),
      "tool": .text(tool), "volumes": .integer(volumes), "raw_bytes": .integer(rawBytes),
      "stored_bytes": .integer(storedBytes), "codec": .object(codec.json),
      "catalog": .object(catalog.json), "packs": .array(packs.map { .object($0.json) }),
    ]
    result["replaces"] = replaces.map { .boolean($0) }
    result["run"] = run.map { .object(["id": .text($0.id), "stages": .integer($0.stages)]) }
    return result
  }

  /// All files of the stage.
  public var files: [FileEntry] { packs + [catalog] }

  /// What makes this unusable, or nil.
  func defect() -> String? {
    if let defect = Names.defect(ofCollection: collection) {
      return "the name of its collection is not allowed: \(defect)"
    }
    guard catalog.lies(at: Layout.catalog(stage)) || Layout.isRevision(catalog.path, of: stage)
    else {
      return "'catalog' is not \(Layout.catalog(stage)) or a revision of it"
    }
    guard !packs.isEmpty else { return "it names no pack" }
    if let run, !(2...Run.maximumStages).contains(run.stages) {
      return "its run has \(run.stages) stages"
    }
    for (number, pack) in packs.enumerated() where !pack.lies(at: Layout.pack(stage, number)) {
      return "pack \(number) is not \(Layout.pack(stage, number))"
    }
    return nil
  }
}

extension Stage {
  init(_ node: JSONNode) throws(FormatError) {
    stage = try node.required("stage").identifier()
    collection = try node.required("collection").string()
    created = try node.required("created").time()
    tool = try node.required("tool").string().string
    volumes = try node.required("volumes").size()
    rawBytes = try node.required("raw_bytes").size()
    storedBytes = try node.required("stored_bytes").size()
    codec = try CodecInfo(node.required("codec"))
    catalog = try FileEntry(node.required("catalog"))
    packs = try node.required("packs").array { (pack) throws(FormatError) in try FileEntry(pack) }
    replaces = try node.optional("replaces")?.boolean()
    run = try node.optional("run").map { (run) throws(FormatError) in
      Run(
        id: try run.required("id").identifier(), stages: try run.required("stages").integer())
    }
  }
}

/// What a writer stages: it has a record in `stages/` until it is committed.
protocol Staged {
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
  /// Decodes it.
  init(_ node: JSONNode) throws(FormatError)
  /// It as JSON.
  var json: JSONObject { get }
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
  init(_ node: JSONNode) throws(FormatError) {
    self.init(
      stage: try node.required("stage").identifier(), created: try node.required("created").time(),
      tool: try node.required("tool").string().string,
      replace: try node.required("replace").boolean(), rows: try node.required("rows").size(),
      file: try FileEntry(node.required("table")))
  }

  var json: JSONObject {
    [
      "stage": .text(stage), "created": .text(created), "tool": .text(tool),
      "replace": .boolean(replace), "rows": .integer(rows), "table": .object(file.json),
    ]
  }

  static let format = "volpipe-subjects-stage"
  static let recordEnding = "-subjects.json"
  static let maximumRecord = 1 << 16
}

/// The record of what is staged, whose keys stand beside its own.
struct StagedRecord<Content: Staged> {
  var datasetID: String
  var content: Content

  init(datasetID: String, _ content: Content) {
    self.datasetID = datasetID
    self.content = content
  }

  init(_ node: JSONNode) throws(FormatError) {
    try checkFormat(node, Content.format)
    datasetID = try node.required("dataset_id").identifier()
    content = try Content(node)
  }

  var json: JSONObject {
    var result = content.json
    result["format"] = .text(Content.format)
    result["version"] = .integer(currentVersion)
    result["dataset_id"] = .text(datasetID)
    return result
  }
}

/// The subject table of a snapshot.
public struct SubjectsEntry: Sendable, Equatable {
  /// Its file.
  public var file: FileEntry
  /// Number of rows.
  public var rows: UInt64
  /// The staged tables that the commit of this snapshot merged into it.
  public var stages: [String]

  var json: JSONObject {
    var result = file.json
    result["rows"] = .integer(rows)
    result["stages"] = .array(stages.map { .text($0) })
    return result
  }

  /// What makes this unusable, or nil.
  func defect() -> String? {
    guard Layout.isSubjects(file.path) else { return "'path' is not that of a subject table" }
    return nil
  }
}

extension SubjectsEntry {
  /// Decodes an entry, whose file's keys stand beside the others.
  init(_ node: JSONNode) throws(FormatError) {
    file = try FileEntry(node)
    rows = try node.required("rows").size()
    stages = try node.required("stages").array { (id) throws(FormatError) in try id.identifier() }
  }
}

/// `manifests/N.json`: one snapshot.
public struct Manifest: Sendable, Equatable {
  static let format = "volpipe-manifest"
  static let maximumSize = 64 << 20

  /// The snapshot before.
  public struct Parent: Sendable, Equatable {
    /// Its number.
    public var snapshot: UInt64
    /// The digest of its manifest, 64 hexadecimal digits.
    public var sha256: String
  }

  /// Sums over a collection.
  public struct Totals: Sendable, Equatable {
    /// Number of volumes.
    public var volumes: UInt64 = 0
    /// Bytes of their voxels.
    public var rawBytes: UInt64 = 0
    /// Bytes of packs and catalogs.
    public var storedBytes: UInt64 = 0

    /// Sums, none over what a signed number holds; nil if one is.
    static func + (a: Self, b: Self) -> Self? {
      func sum(_ a: UInt64, _ b: UInt64) -> UInt64? {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow || sum > UInt64(Int64.max) ? nil : sum
      }
      guard let volumes = sum(a.volumes, b.volumes), let raw = sum(a.rawBytes, b.rawBytes),
        let stored = sum(a.storedBytes, b.storedBytes)
      else { return nil }
      return Self(volumes: volumes, rawBytes: raw, storedBytes: stored)
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
  public var metadata: JSONObject
  /// The sums over each collection, by name.
  public var collections: [ExactString: Totals]
  /// The committed stages, in order.
  public var stages: [Stage]
  /// The subject table, if there is one.
  public var subjects: SubjectsEntry?
  /// What was committed before and is not in `stages`, but may have a record still, since that could
  /// not be removed: ids of stages and staged tables, sorted.
  public var committed: [String] = []

  /// The most that `committed` holds.
  static let maximumCommitted = 65_536

  /// The ids of stages and staged tables whose records count for nothing any more.
  var committedIDs: Set<String> {
    Set(stages.map(\.stage) + (subjects?.stages ?? []) + committed)
  }

  /// All files that it needs, in order.
  public var files: [FileEntry] { stages.flatMap(\.files) + (subjects.map { [$0.file] } ?? []) }

  /// The sums of `stages` by collection; nil if they overflow.
  static func totals(of stages: [Stage]) -> [ExactString: Totals]? {
    var result: [ExactString: Totals] = [:]
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
    guard number == 1 ? parent == nil : parent.map({ $0.snapshot == number - 1 }) == true else {
      return "its parent is not the snapshot before"
    }
    var seen: Set<String> = []
    for stage in stages {
      if let defect = stage.defect() { return "stage '\(stage.stage)': \(defect)" }
      guard seen.insert(stage.stage).inserted else { return "it names '\(stage.stage)' twice" }
    }
    if let defect = subjects?.defect() { return "its subject table: \(defect)" }
    guard committed.count <= Self.maximumCommitted,
      zip(committed, committed.dropFirst()).allSatisfy({ $0 < $1 }),
      seen.isDisjoint(with: committed)
    else { return "'committed' is too long, not sorted or names a stage that it holds" }
    guard Names.firstSpeltTwoWays(stages.map(\.collection)) == nil,
      Self.totals(of: stages) == collections
    else {
      return "the sums in 'collections' are not those of its stages"
    }
    return nil
  }
}

extension Manifest {
  /// Decodes a manifest, of a format and version that are known.
  init(_ node: JSONNode) throws(FormatError) {
    try checkFormat(node, Self.format, latest: listingVersion)
    datasetID = try node.required("dataset_id").identifier()
    snapshot = try node.required("snapshot").size()
    let parent = try node.required("parent")
    if !parent.isNull {
      self.parent = Parent(
        snapshot: try parent.required("snapshot").size(),
        sha256: try parent.required("sha256").digest())
    }
    commitID = try node.required("commit_id").identifier()
    created = try node.required("created").time()
    tool = try node.required("tool").string().string
    metadata = try node.required("metadata").objectValue()
    var sums: [ExactString: Totals] = [:]
    try node.required("collections").forEachMember { (key, value) throws(FormatError) in
      sums[try key.string()] = Totals(
        volumes: try value.required("volumes").size(),
        rawBytes: try value.required("raw_bytes").size(),
        storedBytes: try value.required("stored_bytes").size())
    }
    collections = sums
    stages = try node.required("stages").array { (stage) throws(FormatError) in try Stage(stage) }
    if let node = try node.optional("subjects") { subjects = try SubjectsEntry(node) }
    if let node = try node.optional("committed") {
      committed = try node.array { (id) throws(FormatError) in try id.identifier() }
    }
  }

  var json: JSONObject {
    var sums = JSONObject()
    for (name, totals) in collections {
      sums[name] = .object([
        "volumes": .integer(totals.volumes), "raw_bytes": .integer(totals.rawBytes),
        "stored_bytes": .integer(totals.storedBytes),
      ])
    }
    var result: JSONObject = [
      "format": .text(Self.format),
      "version": .integer(committed.isEmpty ? currentVersion : listingVersion),
      "dataset_id": .text(datasetID), "snapshot": .integer(snapshot),
      "parent": parent.map {
        .object(["snapshot": .integer($0.snapshot), "sha256": .text($0.sha256)])
      } ?? .null,
      "commit_id": .text(commitID), "created": .text(created), "tool": .text(tool),
      "metadata": .object(metadata), "collections": .object(sums),
      "stages": .array(stages.map { .object($0.json) }),
      "subjects": subjects.map { .object($0.json) } ?? .null,
    ]
    if !committed.isEmpty { result["committed"] = .array(committed.map { .text($0) }) }
    return result
  }
}

/// Throws unless the document says that it is of `format`, in a version that is known.
private func checkFormat(
  _ node: JSONNode, _ format: String, latest: Int64 = currentVersion
) throws(FormatError) {
  let source = node.document.source
  guard try node.required("format").string() == ExactString(format) else {
    throw FormatError(source, "its 'format' is not \(format)")
  }
  let version = try node.required("version").integer(Int64.self)
  guard (1...latest).contains(version) else {
    throw FormatError(
      source,
      "version \(version) of \(format); this program knows versions 1 to \(latest): "
        + "use a newer volpipe")
  }
  guard version == 1 || node.document.isSealed else {
    throw FormatError(source, "it does not end in its SHA-256: it was changed or cut off")
  }
}

extension JSONNode {
  /// An id of the dataset's own: 32 hexadecimal digits.
  fileprivate func identifier() throws(FormatError) -> String {
    let text = try string().string
    guard Names.isHexadecimal(text, count: 32) else {
      throw bad("is not 32 hexadecimal digits")
    }
    return text
  }

  /// A SHA-256: 64 hexadecimal digits.
  fileprivate func digest() throws(FormatError) -> String {
    let text = try string().string
    guard Names.isHexadecimal(text, count: 64) else {
      throw bad("is not 64 hexadecimal digits")
    }
    return text
  }

  /// A number of bytes, volumes or rows: from 0 to what a signed number holds.
  fileprivate func size() throws(FormatError) -> UInt64 {
    let count = try integer(Int64.self)
    guard count >= 0 else { throw bad("is negative") }
    return UInt64(count)
  }

  /// A time in the one form that documents have.
  fileprivate func time() throws(FormatError) -> String {
    let text = try string().string
    guard Clock.isText(text) else {
      throw bad("is not a time such as 2026-11-21T09:30:00.250000Z")
    }
    return text
  }
}

public import ByteIO
public import Frames

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

public import ByteIO
internal import Frames

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
    guard catalog.name == Layout.catalog(stage) || Layout.isRevision(catalog.name, of: stage)
    else {
      return "'catalog' is not \(Layout.catalog(stage).path) or a revision of it"
    }
    guard !packs.isEmpty else { return "it names no pack" }
    if let run, !(2...Run.maximumStages).contains(run.stages) {
      return "its run has \(run.stages) stages"
    }
    for (number, pack) in packs.enumerated() where pack.name != Layout.pack(stage, number) {
      return "pack \(number) is not \(Layout.pack(stage, number).path)"
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

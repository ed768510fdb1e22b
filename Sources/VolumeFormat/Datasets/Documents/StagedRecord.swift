internal import ByteIO
internal import Frames

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
  /// Its files, but for the record.
  var files: [FileEntry] { get }
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

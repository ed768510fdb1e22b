internal import ByteIO
internal import Frames

/// A staged subject table, from its record.
public struct SubjectStage: Sendable {
  /// Its id, 32 hexadecimal digits.
  public var stage: String
  /// When it was finished, UTC.
  public var created: String
  /// Program and version that wrote it.
  public var tool: String
  /// Whether it starts over, and is not merged with the table before.
  public var replace: Bool
  /// Number of rows.
  public var rows: UInt64
  /// Its file.
  public var file: FileEntry
  /// All of its files, but for the record.
  public var files: [FileEntry] { [file] }

  /// What makes this unusable, or nil.
  func defect() -> String? {
    file.name == Layout.subjects(stage) ? nil : "'path' is not that of its table"
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
    guard Layout.isSubjects(file.name) else { return "'path' is not that of a subject table" }
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

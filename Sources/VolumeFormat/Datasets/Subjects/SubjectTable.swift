internal import Storage
internal import Frames
public import ByteIO

/// Limits and first line of a subject table's file; see vol-dataset(5).
struct SubjectTableHeader {
  static let format = "volpipe-subjects"
  /// The most bytes of a line.
  static let maximumLine = 1 << 20
  /// The most columns.
  static let maximumColumns = 4096
  /// The most rows of one subject.
  static let maximumRows = 10_000
  /// The most values in the rows of one subject, which a merge holds.
  static let maximumCells = 1 << 20

  var columns: [SubjectColumn]

  init(columns: [SubjectColumn]) { self.columns = columns }

  /// Decodes the first line; throws unless it is that of a table which can be read.
  init(_ node: JSONNode) throws(FormatError) {
    let source = node.document.source
    guard try node.required("format").string() == ExactString(Self.format) else {
      throw FormatError(source, "its 'format' is not \(Self.format)")
    }
    let version = try node.required("version").integer(Int64.self)
    guard version == 1 else {
      throw FormatError(
        source, "version \(version) of \(Self.format); this program knows version 1")
    }
    columns = try node.required("columns").array { (column) throws(FormatError) in
      guard
        let type = SubjectColumn.Kind(rawValue: try column.required("type").string().string)
      else { throw column.bad("is of a type that is not known") }
      return SubjectColumn(name: try column.required("name").string(), type: type)
    }
    guard columns.first == SubjectColumn(name: SubjectColumn.subject, type: .text),
      columns.count <= Self.maximumColumns, Set(columns.map(\.name)).count == columns.count
    else { throw FormatError(source, "its columns are not those of a subject table") }
  }

  var json: JSONObject {
    [
      "format": .text(Self.format), "version": .integer(1),
      "columns": .array(
        columns.map { .object(["name": .string($0.name), "type": .text($0.type.rawValue)]) }),
    ]
  }

  /// What is too much of one subject, or nil.
  static func defect(rows: Int, columns: Int) -> String? {
    if rows > maximumRows { return "has over 10,000 rows" }
    return rows * columns > maximumCells ? "has over 1,048,576 values in its rows" : nil
  }
}

/// Reads the rows of a subject table in order: by the bytes of their subject.
public final class SubjectTableReader {
  /// The columns; the first is that of the subject.
  public private(set) var columns: [SubjectColumn] = []
  private let path: String
  private var lines: LineList
  private let rows: UInt64
  private var line: UInt64 = 1
  private var last: ExactString?
  /// Rows of the last subject so far.
  private var count = 0

  /// Opens the table that a snapshot names, after comparing its digest.
  ///
  /// - Throws: `FormatError` if it is not what was recorded, or no table; `IOFailure`.
  public convenience init(_ entry: SubjectsEntry, of dataset: Dataset) throws {
    try self.init(entry.file, rows: entry.rows, of: dataset)
  }

  /// Opens the table that was staged; else as above.
  convenience init(_ stage: SubjectStage, of dataset: Dataset) throws {
    try self.init(stage.file, rows: stage.rows, of: dataset)
  }

  private convenience init(_ file: FileEntry, rows: UInt64, of dataset: Dataset) throws {
    let table = try dataset.store.open(file.name, bytes: nil)
    let seal = try FileSeal(of: table)
    guard seal.bytes == file.bytes, seal.sha256 == file.sha256 else {
      throw FormatError(table.path, "it does not match the size or SHA-256 that was recorded")
    }
    try self.init(table, rows: rows)
  }

  /// Opens a table of so many rows, whose digest is not looked at.
  init(_ file: any ObjectReader, rows: UInt64) throws {
    path = file.path
    self.rows = rows
    var offset: UInt64 = 0
    lines = LineList(
      file.path, nulSeparated: false, maximum: SubjectTableHeader.maximumLine, isStrict: true
    ) { room in
      let count = try file.read(at: offset, into: room)
      offset += UInt64(count)
      return count
    }
    guard let first = try nextLine() else { throw FormatError(path, "it is empty") }
    columns = try SubjectTableHeader(document(first)).columns
  }

  /// The next row, a value or nil a column; nil at the end.
  ///
  /// - Throws: `FormatError` that names the line; `IOFailure`.
  public func next() throws -> [ExactString?]? {
    guard let bytes = try nextLine() else {
      guard line - 1 == rows else {
        throw FormatError(path, "it has \(counted(line - 1, "row")), and not \(rows), as recorded")
      }
      return nil
    }
    line += 1
    let row = try document(bytes).array { (cell) throws(FormatError) -> ExactString? in
      cell.isNull ? nil : try cell.string()
    }
    guard row.count == columns.count, let subject = row[0], last.map({ $0 <= subject }) ?? true
    else { throw bad("is not a row that can follow the one before") }
    if let defect = Names.defect(ofID: subject) {
      throw bad("has a subject that is not allowed: \(defect)")
    }
    count = subject == last ? count + 1 : 1
    if let defect = SubjectTableHeader.defect(rows: count, columns: columns.count) {
      throw bad("is of a subject that \(defect)")
    }
    for (column, value) in zip(columns, row) {
      guard let value, !column.admits(value) else { continue }
      throw bad("has a value in '\(column.name)' that is no \(column.type.rawValue)")
    }
    last = subject
    return row
  }

  private func bad(_ what: String) -> FormatError { FormatError(path, "line \(line) \(what)") }

  private func document(_ bytes: [UInt8]) throws(FormatError) -> JSONNode {
    do throws(FormatError) {
      let root = try JSONDocument(bytes, in: path).root
      if let key = try root.firstRepeatedKey() {
        throw FormatError(path, "the key '\(key)' is there twice")
      }
      return root
    } catch {
      throw FormatError(path, "line \(line): \(error.reason)")
    }
  }

  private func nextLine() throws -> [UInt8]? {
    do {
      return try lines.next()
    } catch is LineList.TooLong {
      throw bad("is over 1 MiB long")
    } catch is LineList.Irregular {
      throw bad("is empty, or the last and without a line feed")
    }
  }
}

/// Writes a subject table, whose rows must come in order.
final class SubjectTableWriter {
  private let name: ObjectName
  private let file: SealedFile
  private var buffer: [UInt8] = []
  private var last: ExactString?
  private var count = 0
  private let columns: Int
  private(set) var rows: UInt64 = 0

  init(_ name: ObjectName, in store: any Store, columns: [SubjectColumn]) throws {
    self.name = name
    file = try SealedFile(name, in: store)
    self.columns = columns.count
    buffer = JSON.encode(SubjectTableHeader(columns: columns).json) + [0x0A]
    guard buffer.count <= SubjectTableHeader.maximumLine,
      columns.count <= SubjectTableHeader.maximumColumns
    else {
      file.abort()
      throw FormatError(file.path, "over 4,096 columns, or over 1 MiB of their names")
    }
  }

  func append(_ row: [ExactString?]) throws {
    let subject = row[0] ?? ""
    var writer = JSONWriter()
    writer.raw("[")
    for (number, value) in row.enumerated() {
      if number > 0 { writer.raw(",") }
      if let value { writer.string(value) } else { writer.raw("null") }
    }
    writer.raw("]")
    let line = writer.bytes
    count = subject == last ? count + 1 : 1
    last = subject
    guard line.count < SubjectTableHeader.maximumLine else {
      throw FormatError(file.path, "a row of subject '\(subject)' has over 1 MiB")
    }
    if let defect = SubjectTableHeader.defect(rows: count, columns: columns) {
      throw FormatError(file.path, "subject '\(subject)' \(defect)")
    }
    buffer += line
    buffer.append(0x0A)
    rows += 1
    if buffer.count >= 1 << 16 { try flush() }
  }

  /// Makes it whole, visible and lasting.
  func finish() throws -> FileEntry {
    try flush()
    return try file.seal().entry(name)
  }

  /// Removes it.
  func abort() { file.abort() }

  private func flush() throws {
    try file.append(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}

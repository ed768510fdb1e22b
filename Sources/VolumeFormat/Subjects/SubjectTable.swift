internal import ByteIO

/// Limits and first line of a subject table's file; see vol-dataset(5).
struct SubjectTableHeader: Codable {
  static let format = "volpipe-subjects"
  /// The most bytes of a line.
  static let maximumLine = 1 << 20
  /// The most columns.
  static let maximumColumns = 4096
  /// The most rows of one subject.
  static let maximumRows = 10_000

  var format = Self.format
  var version = 1
  var columns: [SubjectColumn]

  enum CodingKeys: String, CodingKey {
    case format, version, columns
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
  private var last: [UInt8] = []

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
    let path = dataset.file(file.path)
    let seal = try FileSeal(of: path)
    guard seal.bytes == file.bytes, seal.sha256 == file.sha256 else {
      throw FormatError(path, "it does not match the size or SHA-256 that was recorded")
    }
    try self.init(path, rows: rows)
  }

  /// Opens a table of so many rows, whose digest is not looked at.
  init(_ path: String, rows: UInt64) throws {
    self.path = path
    self.rows = rows
    lines = LineList(
      try InputFile.regular(path).file, nulSeparated: false,
      maximum: SubjectTableHeader.maximumLine)
    guard let first = try nextLine() else { throw FormatError(path, "it is empty") }
    let header = try JSON.decode(SubjectTableHeader.self, from: first, in: path)
    guard header.format == SubjectTableHeader.format else {
      throw FormatError(path, "its 'format' is not \(SubjectTableHeader.format)")
    }
    guard header.version == 1 else {
      throw FormatError(
        path, "version \(header.version) of \(header.format); this program knows version 1")
    }
    guard header.columns.first == SubjectColumn(name: SubjectColumn.subject, type: .text),
      header.columns.count <= SubjectTableHeader.maximumColumns,
      Set(header.columns.map(\.name)).count == header.columns.count
    else { throw FormatError(path, "its columns are not those of a subject table") }
    columns = header.columns
  }

  /// The next row, a value or nil a column; nil at the end.
  public func next() throws -> [String?]? {
    guard let bytes = try nextLine() else {
      guard line - 1 == rows else {
        throw FormatError(path, "it has \(line - 1) rows, and not \(rows), as recorded")
      }
      return nil
    }
    line += 1
    let row = try JSON.decode([String?].self, from: bytes, in: path)
    guard row.count == columns.count, let subject = row[0].map({ Array($0.utf8) }),
      !subject.isEmpty,
      !subject.lexicographicallyPrecedes(last)
    else { throw FormatError(path, "line \(line) is not a row that can follow the one before") }
    last = subject
    return row
  }

  private func nextLine() throws -> [UInt8]? {
    do {
      return try lines.next()
    } catch is LineList.TooLong {
      throw FormatError(path, "line \(line) is over 1 MiB long")
    }
  }
}

/// Writes a subject table, whose rows must come in order.
final class SubjectTableWriter {
  private let file: SealedFile
  private var buffer: [UInt8] = []
  private var last: String?
  private var count = 0
  private(set) var rows: UInt64 = 0

  init(creating path: String, columns: [SubjectColumn]) throws {
    file = try SealedFile(creating: path)
    buffer = try JSON.encode(SubjectTableHeader(columns: columns)) + [0x0A]
    guard buffer.count <= SubjectTableHeader.maximumLine,
      columns.count <= SubjectTableHeader.maximumColumns
    else { throw FormatError(path, "over 4,096 columns, or over 1 MiB of their names") }
  }

  func append(_ row: [String?]) throws {
    let line = try JSON.encode(row)
    count = row[0] == last ? count + 1 : 1
    last = row[0]
    guard line.count < SubjectTableHeader.maximumLine else {
      throw FormatError(file.path, "a row of subject '\(row[0] ?? "")' has over 1 MiB")
    }
    guard count <= SubjectTableHeader.maximumRows else {
      throw FormatError(file.path, "subject '\(row[0] ?? "")' has over 10,000 rows")
    }
    buffer += line
    buffer.append(0x0A)
    rows += 1
    if buffer.count >= 1 << 16 { try flush() }
  }

  /// Flushes and closes the file.
  func finish() throws -> FileSeal {
    try flush()
    return try file.seal()
  }

  private func flush() throws {
    try file.append(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}

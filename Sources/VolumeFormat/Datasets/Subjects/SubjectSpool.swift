internal import Frames
internal import ByteIO

/// Rows of a table in the order in which they came, to be had again in the order of their subjects.
///
/// They wait in a file that has no name; memory is 40 bytes a row.
final class SubjectSpool {
  /// A value that is there.
  struct Cell {
    /// The number of its column.
    var column: Int
    /// Text of a table or a string; or a JSON value that is no string, as it was written.
    var text: ExactString
    /// Whether it is such a JSON value.
    var isJSON: Bool

    /// What stands for it in a column of a kind.
    func text(in kind: SubjectColumn.Kind) -> ExactString {
      kind == .json && !isJSON
        ? ExactString(String(decoding: JSON.encode(.string(text)), as: UTF8.self)) : text
    }
  }

  private struct Entry {
    /// The first 16 bytes of the subject, zeros behind it.
    var high: UInt64
    var low: UInt64
    var offset: UInt64
    var subject: UInt32
    var length: UInt32
  }

  private let file: OutputFile
  private var entries: [Entry] = []
  private var buffer: [UInt8] = []
  private var size: UInt64 = 0

  /// Keeps them in `file`, which is empty.
  init(in file: OutputFile) { self.file = file }

  /// Number of rows.
  var count: Int { entries.count }

  /// Adds a row.
  ///
  /// Cells that hold nothing cost nothing, whatever columns other rows have.
  func append(_ subject: ExactString, _ cells: [Cell]) throws {
    let key = Array(subject.utf8)
    var row: [UInt8] = []
    for cell in cells {
      row.appendLittle(UInt32(cell.column))
      row.append(cell.isJSON ? 1 : 0)
      row.appendLittle(UInt32(cell.text.utf8.count))
      row += cell.text.utf8
    }
    var prefix = Array(key.prefix(16))
    prefix += [UInt8](repeating: 0, count: 16 - prefix.count)
    entries.append(
      Entry(
        high: prefix.loadLittle(0, as: UInt64.self).byteSwapped,
        low: prefix.loadLittle(8, as: UInt64.self).byteSwapped, offset: size,
        subject: UInt32(key.count), length: UInt32(row.count)))
    buffer += key + row
    size += UInt64(key.count + row.count)
    if buffer.count >= 1 << 18 { try flush() }
  }

  /// Visits all rows, by the bytes of their subjects, those of one in the order in which they came.
  func forEach(_ body: (ExactString, [Cell]) throws -> Void) throws {
    try flush()
    try entries.sort { try isBefore($0, $1) }
    for entry in entries {
      let subject = String(decoding: try key(entry), as: UTF8.self)
      let row = try read(entry.offset + UInt64(entry.subject), Int(entry.length))
      try body(ExactString(subject), Self.cells(row))
    }
  }

  private static func cells(_ row: [UInt8]) -> [Cell] {
    row.withUnsafeBytes { bytes in
      var cursor = ByteCursor(bytes)
      var cells: [Cell] = []
      while let column = cursor.integer(UInt32.self), let isJSON = cursor.integer(UInt8.self),
        let length = cursor.integer(UInt32.self), let text = cursor.take(Int(length))
      {
        let string = String(decoding: text, as: UTF8.self)
        cells.append(
          Cell(column: Int(column), text: ExactString(string), isJSON: isJSON == 1))
      }
      return cells
    }
  }

  private func isBefore(_ a: Entry, _ b: Entry) throws -> Bool {
    if a.high != b.high { return a.high < b.high }
    if a.low != b.low { return a.low < b.low }
    // Subjects hold no zero bytes: two of up to 16 bytes are equal here.
    if a.subject > 16 || b.subject > 16 {
      let (first, second) = (try key(a), try key(b))
      if first != second { return first.lexicographicallyPrecedes(second) }
    }
    return a.offset < b.offset
  }

  private func key(_ entry: Entry) throws -> [UInt8] { try read(entry.offset, Int(entry.subject)) }

  private func read(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    return bytes
  }

  private func flush() throws {
    try buffer.withUnsafeBytes { try file.write($0) }
    buffer.removeAll(keepingCapacity: true)
  }
}

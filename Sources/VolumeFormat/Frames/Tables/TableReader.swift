public import ByteIO

/// Lines of a table in text, its fields separated by tabs, commas or semicolons, and quoted as in
/// RFC 4180.
///
/// Lines end in LF or CRLF; if the first ends in CR alone, so may the others.
///
/// Memory is that of one line, which may have 1 MiB.
public struct TableReader {
  /// The most bytes of a line.
  public static let maximumLine = 1 << 20
  /// The most columns.
  public static let maximumColumns = 4096

  /// A line that is not empty.
  public struct Line {
    /// Its number in the file, from 1.
    public var number: Int
    /// Its fields, as many as there are columns; nil where nothing is said.
    public var fields: [[UInt8]?]
  }

  /// What the columns are called, in their order; those without a name are empty.
  public private(set) var names: [ExactString] = []
  /// Its path, or a name such as `standard input`.
  public var path: String { file.path }

  private let file: InputFile
  private let missing: MissingValues
  /// Whether a line ends in CR, with an LF behind it or not.
  private var endsInReturn = false
  private var separator = UInt8(ascii: ",")
  private var buffer: [UInt8] = []
  private var position = 0
  private var hasFileEnded = false
  /// Bytes of the present line.
  private var length = 0
  private var number = 1
  private var hasEnded = false

  /// Reads the names of the columns.
  ///
  /// - Parameters:
  ///   - file: where the text is.
  ///   - head: what was taken from the file already.
  ///   - missing: the fields that say nothing.
  /// - Throws: `FormatError` if there are none, or a name twice, or if it is no text in UTF-8;
  ///   `IOFailure`.
  public init(
    _ file: InputFile, head: [UInt8] = [], missing: MissingValues = MissingValues()
  ) throws {
    self.file = file
    self.missing = missing
    buffer = head
    while buffer.count < 3, try refill() {}
    if buffer.starts(with: [0xFE, 0xFF]) || buffer.starts(with: [0xFF, 0xFE]) {
      throw FormatError(path, "it is in UTF-16; save it as UTF-8")
    }
    if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    try readFirstLine()
    guard let first = try record()?.fields else { throw FormatError(path, "it is empty") }
    var seen: Set<ExactString> = []
    for (column, field) in first.enumerated() {
      guard let name = ExactString(validating: field),
        !name.string.unicodeScalars.contains(where: UnsafeScalars.mustShow)
      else {
        throw FormatError(path, "the name of its column \(column + 1) is not text in UTF-8")
      }
      if !name.isEmpty, !seen.insert(name).inserted {
        throw FormatError(path, "its first line has the column '\(name)' twice")
      }
      names.append(name)
    }
  }

  /// The next line, or nil at the end.
  ///
  /// - Throws: `FormatError` for a line with another number of fields than the first has, or with
  ///   text behind a quoted field, after which reading may go on; for a line that is too long or
  ///   whose last quote is open, which ends the table; `IOFailure`.
  public mutating func next() throws -> Line? {
    if hasEnded { return nil }
    do {
      guard let (begin, fields) = try record() else {
        hasEnded = true
        return nil
      }
      guard fields.count == names.count else {
        throw FormatError(
          path, "line \(begin) has \(counted(fields.count, "field")), the first line \(names.count)"
        )
      }
      return Line(number: begin, fields: fields.map { missing.contains($0) ? nil : $0 })
    } catch let failure as IOFailure {
      hasEnded = true
      throw failure
    }
  }

  /// The text of a field.
  ///
  /// - Throws: `FormatError` that names line and column, if it is not UTF-8.
  public func text(_ field: [UInt8], _ column: Int, of line: Line) throws -> ExactString {
    guard let text = ExactString(validating: field) else {
      throw FormatError(path, "\(place(line.number, column)) is not in UTF-8")
    }
    return text
  }

  /// Where a field is, as messages say it.
  ///
  /// - Parameters:
  ///   - line: its line's number.
  ///   - column: its column's, from 0.
  /// - Returns: such as `line 2, column 'age'`.
  public func place(_ line: Int, _ column: Int) -> String {
    guard column < names.count, !names[column].isEmpty else {
      return "line \(line), column \(column + 1)"
    }
    return "line \(line), column '\(bounded(names[column].string, 100))'"
  }

  // MARK: Fields

  private enum State {
    case start, plain, quoted, closed
  }

  /// Takes a line that is not empty, nil at the end.
  private mutating func record() throws -> (begin: Int, fields: [[UInt8]])? {
    while true {
      let begin = number
      guard let fields = try line(begin) else { return nil }
      if fields != [[]] { return (begin, fields) }
    }
  }

  /// Takes one line; nil if the file has ended before it.
  private mutating func line(_ begin: Int) throws -> [[UInt8]]? {
    var fields: [[UInt8]] = []
    var field: [UInt8] = []
    var state = State.start
    /// The first column with text behind its quotes.
    var bad: Int?
    length = 0
    while let byte = try take(begin) {
      switch (state, byte) {
      case (.quoted, UInt8(ascii: "\"")):
        if try peek() == UInt8(ascii: "\"") {
          _ = try take(begin)
          field.append(byte)
        } else {
          state = .closed
        }
      case (.quoted, _):
        if byte == 0x0A { number += 1 }
        field.append(byte)
      case (.start, UInt8(ascii: "\"")): state = .quoted
      case (_, separator):
        fields.append(field)
        guard fields.count < Self.maximumColumns else {
          hasEnded = true
          throw FormatError(path, "line \(begin) has over 4,096 fields")
        }
        field = []
        state = .start
      case (_, 0x0A):
        number += 1
        return try finish(fields + [field], begin, bad)
      case (_, 0x0D) where try peek() == 0x0A: break
      case (_, 0x0D) where endsInReturn:
        number += 1
        return try finish(fields + [field], begin, bad)
      default:
        if state == .closed { bad = bad ?? fields.count }
        if state == .start { state = .plain }
        field.append(byte)
      }
    }
    if state == .quoted {
      hasEnded = true
      throw FormatError(path, "\(place(begin, fields.count)) has a quote that is not closed")
    }
    return length == 0 ? nil : try finish(fields + [field], begin, bad)
  }

  private func finish(_ fields: [[UInt8]], _ begin: Int, _ bad: Int?) throws -> [[UInt8]] {
    if let bad { throw FormatError(path, "\(place(begin, bad)) has text behind a quoted field") }
    return fields
  }

  /// Looks at the first line: what ends it, and what separates its fields.
  ///
  /// Tabs do, if it has one; else commas, unless it has semicolons only.
  private mutating func readFirstLine() throws {
    var end = position
    var isQuoted = false
    while true {
      while end < buffer.count, isQuoted || (buffer[end] != 0x0A && buffer[end] != 0x0D) {
        if buffer[end] == UInt8(ascii: "\"") { isQuoted.toggle() }
        end += 1
      }
      // Behind a CR the next byte decides.
      if end < buffer.count - 1 || end > Self.maximumLine { break }
      if try !refill() { break }
    }
    endsInReturn =
      end < buffer.count && buffer[end] == 0x0D
      && (end + 1 == buffer.count || buffer[end + 1] != 0x0A)
    let first = buffer[position..<end]
    if first.contains(UInt8(ascii: "\t")) {
      separator = UInt8(ascii: "\t")
    } else if !first.contains(UInt8(ascii: ",")), first.contains(UInt8(ascii: ";")) {
      separator = UInt8(ascii: ";")
    }
  }

  // MARK: Bytes

  private mutating func take(_ begin: Int) throws -> UInt8? {
    guard let byte = try peek() else { return nil }
    position += 1
    length += 1
    guard length <= Self.maximumLine else {
      hasEnded = true
      throw FormatError(path, "line \(begin) is over 1 MiB long")
    }
    return byte
  }

  private mutating func peek() throws -> UInt8? {
    if position == buffer.count {
      buffer.removeAll(keepingCapacity: true)
      position = 0
      guard try refill() else { return nil }
    }
    return buffer[position]
  }

  /// Appends what the file has next; false at its end.
  private mutating func refill() throws -> Bool {
    if hasFileEnded { return false }
    let old = buffer.count
    buffer += [UInt8](repeating: 0, count: 1 << 16)
    let count = try buffer.withUnsafeMutableBytes {
      try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[old...]))
    }
    buffer.removeSubrange((old + count)...)
    hasFileEnded = count == 0
    return count > 0
  }
}

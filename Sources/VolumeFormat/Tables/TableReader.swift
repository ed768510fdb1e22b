public import ByteIO

/// Lines of a table in text, its fields separated by tabs, commas or semicolons, and quoted as in
/// RFC 4180.
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
    /// Its fields, as many as there are columns.
    public var fields: [[UInt8]]
  }

  /// What the columns are called, in their order; those without a name are empty.
  public private(set) var names: [ExactString] = []
  /// Its path, or a name such as `standard input`.
  public var path: String { file.path }

  private let file: InputFile
  private var separator = UInt8(ascii: ",")
  private var buffer: [UInt8] = []
  private var position = 0
  private var hasFileEnded = false
  /// Bytes of the present line.
  private var length = 0
  private var number = 1
  private var hasEnded = false

  /// Reads the names of the columns, after `head`, which was taken from the file already.
  ///
  /// - Throws: `FormatError` if there are none, or a name twice, or if it is no text in UTF-8;
  ///   `IOFailure`.
  public init(_ file: InputFile, head: [UInt8] = []) throws {
    self.file = file
    buffer = head
    while buffer.count < 3, try refill() {}
    if buffer.starts(with: [0xFE, 0xFF]) || buffer.starts(with: [0xFF, 0xFE]) {
      throw FormatError(path, "it is in UTF-16; save it as UTF-8")
    }
    if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    try findSeparator()
    guard let first = try record() else { throw FormatError(path, "it is empty") }
    var seen: Set<ExactString> = []
    for (column, field) in first.fields.enumerated() {
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
      guard let line = try record() else {
        hasEnded = true
        return nil
      }
      guard line.fields.count == names.count else {
        throw FormatError(
          path,
          "line \(line.number) has \(line.fields.count) fields, the first line \(names.count)")
      }
      return line
    } catch let failure as IOFailure {
      hasEnded = true
      throw failure
    }
  }

  // MARK: Fields

  private enum State {
    case start, plain, quoted, closed
  }

  /// Takes a line that is not empty, nil at the end.
  private mutating func record() throws -> Line? {
    while true {
      let begin = number
      let fields = try line(begin)
      if let fields, fields != [[]] { return Line(number: begin, fields: fields) }
      if fields == nil { return nil }
    }
  }

  /// Takes one line; nil if the file has ended before it.
  private mutating func line(_ begin: Int) throws -> [[UInt8]]? {
    var fields: [[UInt8]] = []
    var field: [UInt8] = []
    var state = State.start
    var isBad = false
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
        return try finish(fields + [field], begin, isBad)
      case (_, 0x0D) where try peek() == 0x0A: break
      default:
        if state == .closed { isBad = true }
        if state == .start { state = .plain }
        field.append(byte)
      }
    }
    if state == .quoted {
      hasEnded = true
      throw FormatError(path, "line \(begin) has a quote that is not closed")
    }
    return length == 0 ? nil : try finish(fields + [field], begin, isBad)
  }

  private func finish(_ fields: [[UInt8]], _ begin: Int, _ isBad: Bool) throws -> [[UInt8]] {
    if isBad { throw FormatError(path, "line \(begin) has text behind a quoted field") }
    return fields
  }

  /// Tabs, if the first line has one; else commas, unless it has semicolons only.
  private mutating func findSeparator() throws {
    var end = position
    while true {
      while end < buffer.count, buffer[end] != 0x0A { end += 1 }
      if end < buffer.count || end > Self.maximumLine { break }
      if try !refill() { break }
    }
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

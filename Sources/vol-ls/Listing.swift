import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

/// Rows of named cells, as a table for people, tab-separated, or JSON Lines.
struct Listing {
  enum Style {
    case table, tsv, json
  }

  /// One field of a row.
  enum Cell {
    case text(ExactString)
    case count(UInt64)
    case bytes(UInt64)
    case real(Double, digits: Int)
    case reals([Double])
    case counts([Int])
    case json(JSONValue)
    case none
  }

  /// A table's columns are as wide as the first rows need; later rows may overflow them, so that
  /// a list of any length needs little memory.
  private static let rowsMeasured = 512
  /// No column is made wider for a cell than this.
  private static let maximumWidth = 60

  private let names: [String]
  private let style: Style
  private let output: LineWriter
  private var held: [[String]] = []
  private var widths: [Int] = []
  private var rightAligned: Set<Int> = []

  init(_ names: [String], _ style: Style, _ output: LineWriter) {
    self.names = names
    self.style = style
    self.output = output
  }

  mutating func add(_ cells: [Cell]) throws {
    switch style {
    case .json:
      var object = JSONObject()
      for (name, cell) in zip(names, cells) { object[ExactString(name)] = cell.json }
      try output.bytes(JSON.encode(object) + [0x0A])
    case .tsv:
      if held.isEmpty { try begin() }
      try output.line(cells.map { tsvField($0.plain) }.joined(separator: "\t"))
    case .table:
      for (column, cell) in cells.enumerated() where cell.isNumber { rightAligned.insert(column) }
      let row = cells.map { visible($0.human) }
      if widths.isEmpty {
        held.append(row)
        if held.count == Self.rowsMeasured { try begin() }
      } else {
        try write(row)
      }
    }
  }

  mutating func finish() throws {
    if style == .json { return }
    if style == .table ? widths.isEmpty : held.isEmpty { try begin() }
  }

  /// Writes the line of names, and the rows that waited for it.
  private mutating func begin() throws {
    if style == .tsv {
      try output.line(names.map(tsvField).joined(separator: "\t"))
      held = [[]]
      return
    }
    let rows = [names.map { visible($0.uppercased()) }] + held
    widths = names.indices.map { column in
      min(Self.maximumWidth, rows.map { $0[column].count }.max() ?? 0)
    }
    for row in rows { try write(row) }
    held = []
  }

  private func write(_ row: [String]) throws {
    var line = ""
    for (column, cell) in row.enumerated() {
      let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
      if column > 0 { line += "  " }
      if rightAligned.contains(column) {
        line += padding + cell
      } else {
        line += column == row.count - 1 ? cell : cell + padding
      }
    }
    try output.line(line)
  }
}

extension Listing.Cell {
  var isNumber: Bool {
    switch self {
    case .count, .bytes, .real: true
    default: false
    }
  }

  var json: JSONValue {
    switch self {
    case .text(let text): .string(text)
    case .count(let count), .bytes(let count): .integer(count)
    case .real(let value, _): .real(value)
    case .reals(let values): .array(values.map { .real($0) })
    case .counts(let values): .array(values.map { .integer($0) })
    case .json(let value): value
    case .none: .null
    }
  }

  /// Exact.
  var plain: String {
    switch self {
    case .text(let text): return text.string
    case .count(let count), .bytes(let count): return String(count)
    case .real(let value, let digits): return decimal(value, digits)
    case .reals(let values): return values.map { trimmed($0) }.joined(separator: ",")
    case .counts(let values): return values.map(String.init).joined(separator: ",")
    case .json(let value): return String(decoding: JSON.encode(value), as: UTF8.self)
    case .none: return ""
    }
  }

  /// For a table: bytes with units, axes with `x`.
  var human: String {
    switch self {
    case .bytes(let count): humanBytes(count)
    case .counts(let values): values.map(String.init).joined(separator: "x")
    case .reals(let values): values.map { trimmed($0) }.joined(separator: "x")
    case .none: "-"
    default: plain
    }
  }

  private func trimmed(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e9 else { return "\(value)" }
    var text = (value < 0 ? "-" : "") + decimal(abs(value), 4)
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text
  }
}

import ToolSupport
import VolumeFormat

/// Writes the rows of a subject table.
struct TablePrinter {
  enum Form {
    case tsv, csv, json
  }

  private let columns: [SubjectColumn]
  private let keys: [[UInt8]]
  private let form: Form
  private let output = LineWriter()

  init(_ columns: [SubjectColumn], _ form: Form) {
    self.columns = columns
    self.form = form
    keys = columns.map { (try? JSON.encode($0.name)) ?? [] }
  }

  func begin() throws {
    if form != .json { try output.line(joined(columns.map(\.name))) }
  }

  func add(_ row: [String?]) throws {
    guard form == .json else {
      try output.line(joined(row))
      return
    }
    var line = [UInt8(ascii: "{")]
    for (number, column) in columns.enumerated() {
      if number > 0 { line.append(UInt8(ascii: ",")) }
      line += keys[number] + [UInt8(ascii: ":")]
      line += try column.encoded(row[number])
    }
    try output.bytes(line + Array("}\n".utf8))
  }

  func finish() throws { try output.finish() }

  private func joined(_ fields: [String?]) -> String {
    let separator = form == .tsv ? "\t" : ","
    return fields.map { field in
      guard let field else { return form == .tsv ? "n/a" : "" }
      let mustQuote =
        field.utf8.first == UInt8(ascii: "\"")
        || field.unicodeScalars.contains {
          $0 == "\n" || $0 == "\r" || separator.unicodeScalars.contains($0)
        }
      guard mustQuote else { return field }
      // Scalars, since a quote and a mark behind it are one character.
      let doubled = field.unicodeScalars.flatMap { $0 == "\"" ? [$0, $0] : [$0] }
      return "\"\(String(String.UnicodeScalarView(doubled)))\""
    }.joined(separator: separator)
  }
}

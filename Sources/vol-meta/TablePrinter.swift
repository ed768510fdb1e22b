import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

/// Writes the rows of a subject table.
struct TablePrinter {
  enum Form: Equatable {
    case tsv, json
    /// With an apostrophe before what a spreadsheet would take for a formula, if it is to be safe.
    case csv(isSafe: Bool)
  }

  private let columns: [SubjectColumn]
  private let form: Form
  private let output = LineWriter()

  init(_ columns: [SubjectColumn], _ form: Form) {
    self.columns = columns
    self.form = form
  }

  func begin() throws {
    if form != .json { try output.line(joined(columns.map(\.name))) }
  }

  func add(_ row: [ExactString?]) throws {
    guard form == .json else {
      try output.line(joined(row))
      return
    }
    var line = JSONWriter()
    line.raw("{")
    for (column, value) in zip(columns, row) {
      line.key(column.name)
      try column.write(value, to: &line)
    }
    line.raw("}\n")
    try output.bytes(line.bytes)
  }

  func finish() throws { try output.finish() }

  private func joined(_ fields: [ExactString?]) -> String {
    switch form {
    case .csv(let isSafe):
      fields.map { quotedField($0?.string ?? "", separator: ",", isSafe: isSafe) }
        .joined(separator: ",")
    case .tsv, .json:
      fields.map { quotedField($0?.string ?? "n/a", separator: "\t") }.joined(separator: "\t")
    }
  }
}

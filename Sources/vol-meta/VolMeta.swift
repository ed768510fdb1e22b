import ArgumentParser
import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolMeta: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-meta",
    abstract: "Stage the subject table of a dataset, or print it.",
    discussion: """
      With a table on standard input (TSV, CSV or JSON Lines), stages it and prints the id of the \
      stage; vol-commit makes it visible. With nothing there, prints the table of the snapshot.
      """,
    version: volpipeVersion)

  @Option(
    help: ArgumentHelp(
      "The column of the subject (default: obs_subject_id or participant_id).", valueName: "col"))
  var key: ExactString?

  @Flag(help: "Start over; do not merge with the table before.")
  var replace = false

  @OptionGroup var missing: MissingOption

  @Flag(help: "Print JSON, one object a line.")
  var json = false

  @Flag(help: "Print fields separated by tabs, n/a for what is not known (default).")
  var tsv = false

  @Flag(help: "Print fields separated by commas, nothing for what is not known.")
  var csv = false

  @Flag(help: "With --csv, put an apostrophe before what a spreadsheet would take for a formula.")
  var csvSafe = false

  @OptionGroup var expected: ExpectOption

  @Flag(name: .shortAndLong, help: "Do not print the id of the stage.")
  var quiet = false

  @Argument(
    help: ArgumentHelp("The dataset, and a snapshot if not the last.", valueName: "dataset[@n]"))
  var dataset: DatasetArgument

  private var prints: Bool {
    json || tsv || csv || dataset.snapshot != nil || expected.snapshot != nil
  }
  private var stages: Bool { key != nil || replace || !missing.tokens.isEmpty }

  func validate() throws {
    try dataset.requireLocal()
    if csvSafe, !csv { throw ValidationError("--csv-safe is for --csv") }
    if [json, tsv, csv].count(where: { $0 }) > 1 {
      throw ValidationError("--json, --tsv and --csv exclude each other")
    }
    if prints, stages {
      throw ValidationError(
        "--key, --replace and --missing are for a table that is staged, not printed")
    }
  }

  func execute() throws -> ExitStatus {
    if !prints {
      let input = InputFile.standardInput
      var head: [UInt8] = []
      if !input.isTerminal {
        head = [UInt8](repeating: 0, count: 1 << 16)
        let count = try head.withUnsafeMutableBytes { try input.read(into: $0) }
        head.removeSubrange(count...)
      }
      if !head.isEmpty { return try stage(input, head) }
      // A producer that died leaves its pipe empty.
      guard !stages, try input.status().kind != .pipe else {
        throw ToolFailure(
          .noInput,
          "nothing staged: there is no table on standard input; --tsv prints what there is")
      }
    }
    return try print()
  }

  private func stage(_ input: InputFile, _ head: [UInt8]) throws -> ExitStatus {
    let stager = try SubjectStager(
      try createDataset(dataset.path), key: key, replace: replace, missing: missing.values,
      tool: Self.nameAndVersion)
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let start = head.starts(with: mark) ? Array(head.dropFirst(3)) : head
    if start.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "{") {
      var lines = LineList(input, nulSeparated: false, maximum: 1 << 20, head: start)
      try stager.takeObjects(&lines, input.path) { key, line in
        if !quiet {
          Self.warn("line \(line) of '\(input.path)': '\(key)' is there twice, the last counts")
        }
      }
    } else {
      var table = try TableReader(input, head: head, missing: missing.values)
      try stager.take(&table)
    }
    guard let stage = try stager.finish() else {
      throw ToolFailure(.noInput, "nothing staged: the table has no row")
    }
    if !quiet { for remark in stager.remarks { Self.warn("warning: \(remark)") } }
    let output = LineWriter()
    if !quiet { try output.line(stage.stage) }
    try output.finish()
    return .done
  }

  private func print() throws -> ExitStatus {
    let snapshot = try dataset.openSnapshot(expecting: expected.snapshot)
    guard let subjects = snapshot.manifest.subjects else {
      throw ToolFailure(
        .noInput,
        "snapshot \(snapshot.manifest.snapshot) of '\(dataset.path)' has no subject table")
    }
    let table = try SubjectTableReader(subjects, of: snapshot.dataset)
    let printer = TablePrinter(table.columns, json ? .json : csv ? .csv(isSafe: csvSafe) : .tsv)
    try printer.begin()
    while let row = try table.next() { try printer.add(row) }
    try printer.finish()
    return .done
  }

  static func main() { start() }
}

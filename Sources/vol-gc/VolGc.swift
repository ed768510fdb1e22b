import ByteIO
import ArgumentParser
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolGc: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-gc",
    abstract: "Remove files of a dataset that nothing needs.",
    discussion: """
      Removes what dead writers left and, if asked, old snapshots with what only they need. Safe \
      beside readers and writers that finish within the time of grace.
      """,
    version: volpipeVersion)

  @Option(help: ArgumentHelp("Keep the last N snapshots.", valueName: "n"))
  var keepLast: Int?

  @Option(
    help: ArgumentHelp(
      "Keep the snapshots made within AGE, such as 30d or 12h.", valueName: "age"))
  var keepWithin: Age?

  @Option(help: ArgumentHelp("Leave alone what changed within AGE.", valueName: "age"))
  var grace = Age(seconds: 86_400)

  @Flag(
    name: [.customShort("n"), .customLong("dry-run")],
    help: "Remove nothing; list what would be removed.")
  var dryRun = false

  @Flag(name: .shortAndLong, help: "No counts at the end.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "List what is removed.")
  var verbose = false

  @Argument(help: "The dataset's directory.")
  var dataset: String

  func validate() throws {
    try requireLocal(dataset)
    if let keepLast, keepLast < 1 { throw ValidationError("--keep-last takes 1 or more") }
  }

  func execute() throws -> ExitStatus {
    let collector = Collector(
      try openDataset(dataset),
      keep: .init(last: keepLast, within: keepWithin?.seconds), grace: grace.seconds,
      isDry: dryRun)
    let output = LineWriter()
    var files = 0
    var bytes: UInt64 = 0
    let kept = try collector.run { removal in
      files += 1
      bytes &+= removal.bytes
      if dryRun || verbose { try output.line(removal.path) }
    }
    try output.finish()
    if !quiet {
      Self.warn(
        "\(dryRun ? "would remove" : "removed") \(counted(files, "file")), "
          + humanBytes(bytes))
      tell(kept)
    }
    return .done
  }

  /// Says what is kept that no snapshot needs, and why.
  private func tell(_ kept: Collector.Kept) {
    func sum(_ sum: Collector.Kept.Sum) -> String {
      "\(counted(sum.files, "file")), \(humanBytes(sum.bytes))"
    }
    if kept.snapshots > 0 {
      Self.warn(
        "kept \(counted(kept.snapshots, "snapshot")) more, which a reader may have begun with less than "
          + "\(grace.words) ago")
    }
    if kept.awaited > 0 {
      Self.warn(
        "kept \(counted(kept.awaited, "snapshot")) more, since a commit is under way, or was cut off "
          + "less than \(grace.words) ago")
    }
    if kept.young.files > 0 {
      Self.warn("kept \(sum(kept.young)), of unfinished writers younger than \(grace.words)")
    }
    if kept.staged.files > 0 {
      Self.warn(
        "kept \(sum(kept.staged)), of \(counted(kept.stages, "stage")) not committed; vol-ls --staged "
          + "lists them, vol-rm --stage gives them up")
    }
  }

  static func main() { start() }
}

/// A length of time: a number and s, m, h or d.
struct Age: ExpressibleByArgument, CustomStringConvertible {
  var seconds: Double

  private static let units = ["s": 1.0, "m": 60, "h": 3600, "d": 86_400]

  /// In the largest unit that is whole.
  var description: String {
    for unit in ["d", "h", "m"] {
      if let length = Self.units[unit], seconds >= length,
        seconds.remainder(dividingBy: length) == 0
      {
        return "\(Int(seconds / length))\(unit)"
      }
    }
    return "\(Int(seconds))s"
  }

  /// For a message, where a day is 24 h.
  var words: String {
    let text = seconds == 86_400 ? "24h" : description
    return "\(text.dropLast()) \(text.suffix(1))"
  }

  init(seconds: Double) { self.seconds = seconds }

  init?(argument: String) {
    let unit = argument.last.map(String.init) ?? ""
    if argument == "0" {
      seconds = 0
      return
    }
    guard let length = Self.units[unit], let count = UInt32(argument.dropLast()) else { return nil }
    seconds = Double(count) * length
  }
}

import ArgumentParser
import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolCommit: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-commit",
    abstract: "Make staged volumes visible, all at once.",
    discussion: """
      Commits the finished stages of DATASET, or those named, as one new snapshot and prints its \
      number, a colon, and the SHA-256 of its manifest.
      """,
    version: volpipeVersion)

  @Option(
    help: ArgumentHelp("Add text to the snapshot's metadata; repeatable.", valueName: "key=value"))
  var meta: [KeyValue] = []

  @Option(
    help: ArgumentHelp(
      "Take the snapshot's metadata from a JSON object in FILE, - for standard input.",
      valueName: "file"))
  var metaJson: String?

  @Option(
    help: ArgumentHelp(
      "Commit only if N is the current snapshot, 0 if there is none; else exit 75.",
      valueName: "n[:sha256]"))
  var expect: SnapshotName?

  @Flag(help: "Refuse volumes without a subject row, and subjects without volumes.")
  var strict = false

  @Flag(help: "With nothing to commit, print the current snapshot's number and exit 0.")
  var ifStaged = false

  @Flag(name: .shortAndLong, help: "Do not print the snapshot's number and digest.")
  var quiet = false

  @Argument(help: "The dataset's directory.")
  var dataset: String

  @Argument(help: "Stages to commit (default: all that are finished).")
  var stages: [String] = []

  func validate() throws { try requireLocal(dataset, metaJson) }

  func execute() throws -> ExitStatus {
    var metadata = try metaJson.map(readObject) ?? JSONObject()
    for item in meta { metadata[item.key] = .string(item.value) }
    let root = try openDataset(dataset)
    let committer = Committer(root, tool: Self.nameAndVersion)
    let number: UInt64
    var damage: [any Error] = []
    do {
      let result = try committer.commit(
        stages, metadata: metadata, expecting: expect?.expected, strict: strict)
      number = result.manifest.snapshot
      if !quiet { count(result) }
      damage = result.damage
    } catch CommitRefusal.unreadable(let errors) {
      guard ifStaged, let last = try root.manifest() else {
        for error in errors.dropFirst() { Self.warn(explain(error).message) }
        throw errors[0]
      }
      number = last.snapshot
      damage = errors
    } catch CommitRefusal.nothingStaged(let reason) {
      guard ifStaged, stages.isEmpty, let last = try root.manifest() else {
        throw CommitRefusal.nothingStaged(reason)
      }
      number = last.snapshot
    }
    let output = LineWriter()
    if !quiet { try output.line(try root.pinned(number)) }
    try output.finish()
    for error in damage { Self.warn("left out: \(explain(error).message)") }
    return damage.isEmpty ? .done : .partial
  }

  /// Says how volumes and subjects match: all of them if the table is new, else the new volumes.
  private func count(_ result: Committer.Result) {
    guard let subjects = result.manifest.subjects, let dataset = try? openDataset(dataset)
    else { return }
    let stages = result.hasNewTable ? result.manifest.stages : result.stages
    // The snapshot is made: what goes wrong here is for vol-verify to find.
    let census = try? SubjectCensus(dataset, stages, subjects, countsEmpty: result.hasNewTable)
    if let summary = census?.summary {
      Self.warn("snapshot \(result.manifest.snapshot): \(summary)")
    }
  }

  private func readObject(_ path: String) throws -> JSONObject {
    let file = try InputFile(operand: path)
    let name = file.path
    var bytes = [UInt8](repeating: 0, count: (16 << 20) + 1)
    var count = 0
    while count < bytes.count {
      let more = try bytes.withUnsafeMutableBytes {
        try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
      }
      if more == 0 { break }
      count += more
    }
    guard count < bytes.count else { throw FormatError(name, "metadata of over 16 MiB") }
    let (value, repeated) = try JSON.parse(Array(bytes[..<count]), in: name)
    guard case .object(let object) = value else {
      throw FormatError(name, "the metadata is not a JSON object")
    }
    for key in repeated { Self.warn("'\(name)': '\(key)' is there twice, the last counts") }
    return object
  }

  static func main() { start() }
}

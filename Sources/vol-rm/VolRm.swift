import ArgumentParser
import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolRm: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-rm",
    abstract: "Make a snapshot without some volumes.",
    discussion: """
      Commits a new snapshot that lacks the volumes named and prints its number and digest. No byte is \
      deleted: earlier snapshots stay as they were. With --stage, gives up what is staged, and \
      deletes its files.
      """,
    version: volpipeVersion)

  @Option(
    name: [.customShort("T", allowingJoined: true), .customLong("files-from")],
    help: ArgumentHelp("Read ids from FILE, one a line; - for standard input.", valueName: "file"))
  var filesFrom: String?

  @Flag(name: [.customShort("0"), .customLong("null")], help: "Ids in FILE end in NUL.")
  var null = false

  @Flag(
    help: "Give up stages that are not committed; the ids are those of vol-write and vol-meta.")
  var stage = false

  @Flag(name: .shortAndLong, help: "Pass over ids that are not there.")
  var force = false

  @Flag(
    name: [.customShort("n"), .customLong("dry-run")],
    help: "Change nothing; print collection and id of what would go.")
  var dryRun = false

  @Option(
    help: ArgumentHelp("Add text to the snapshot's metadata; repeatable.", valueName: "key=value"))
  var meta: [KeyValue] = []

  @Option(
    help: ArgumentHelp(
      "Go on only if N is the current snapshot; else exit 75.", valueName: "n[:sha256]"))
  var expect: SnapshotName?

  @Flag(name: .shortAndLong, help: "Do not print the snapshot's number and digest.")
  var quiet = false

  @Argument(help: "The dataset's directory.")
  var dataset: String

  @Argument(help: "Ids of volumes, of any collection.")
  var obsID: [ExactString] = []

  func validate() throws {
    try requireLocal(dataset, filesFrom)
    guard !obsID.isEmpty || filesFrom != nil else {
      throw ValidationError("no id and no --files-from is given")
    }
    if stage, !meta.isEmpty || expect != nil {
      throw ValidationError("--stage makes no snapshot, which --meta and --expect are about")
    }
  }

  func execute() throws -> ExitStatus {
    let root = try openDataset(dataset)
    if stage { return try giveUp(root) }
    let remover = Remover(root, tool: Self.nameAndVersion)
    let ids = try wanted()
    let output = LineWriter()
    do {
      if dryRun {
        for target in try remover.find(ids, passingOver: force) {
          try output.line("\(target.collection)\t\(target.obsID)")
        }
      } else {
        let metadata = meta.reduce(into: JSONObject()) { $0[$1.key] = .string($1.value) }
        let manifest = try remover.remove(
          ids, passingOver: force, metadata: metadata, expecting: expect?.expected)
        if !quiet { try output.line(try root.pinned(manifest.snapshot)) }
      }
    } catch let missing as Remover.Missing {
      let others = missing.count > 1 ? ", nor \(missing.count - 1) more" : ""
      throw ToolFailure(
        .noInput, "no volume '\(missing.obsID)' in '\(dataset)'\(others); nothing changed")
    }
    try output.finish()
    return .done
  }

  /// Gives up stages.
  private func giveUp(_ root: Dataset) throws -> ExitStatus {
    let remover = StageRemover(root)
    do {
      let targets = try remover.find(try wanted().map(\.string), passingOver: force)
      if dryRun {
        let output = LineWriter()
        for target in targets {
          try output.line("\(target.collection?.string ?? "")\t\(target.stage)")
        }
        try output.finish()
      } else if !targets.isEmpty {
        let outcome = try remover.giveUp(targets)
        if !quiet {
          Self.warn(
            "gave up \(counted(targets.count, "stage")): removed "
              + "\(counted(outcome.files, "file")), \(humanBytes(outcome.bytes))"
              + (outcome.left > 0
                ? "; \(counted(outcome.left, "file")) left to vol-gc, since a commit is under way"
                : ""))
        }
      }
    } catch let refusal as StageRemover.Refusal {
      throw ToolFailure(.noInput, "nothing given up in '\(dataset)': \(refusal.reason)")
    }
    return .done
  }

  /// The ids given, each once, in their order.
  private func wanted() throws -> [ExactString] {
    var seen: Set<TextDigest> = []
    var ids = obsID.filter { seen.insert(TextDigest($0)).inserted }
    guard let filesFrom else { return ids }
    let file = try InputFile(operand: filesFrom)
    var list = LineList(file, nulSeparated: null)
    while let line = try list.next() {
      guard let id = ExactString(validating: line) else {
        throw FormatError(file.path, "an id in this list is not UTF-8")
      }
      if seen.insert(TextDigest(id)).inserted { ids.append(id) }
    }
    return ids
  }

  static func main() { start() }
}

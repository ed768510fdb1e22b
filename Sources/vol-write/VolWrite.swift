import ArgumentParser
import ByteIO
import NIfTI
import DatasetSupport
import ToolSupport
import Chunks
import Datasets
import Frames

@main
struct VolWrite: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-write",
    abstract: "Stage a stream of volumes as a collection of a dataset.",
    discussion: """
      Reads frames from standard input, writes packs and a catalog below DATASET, and prints the \
      id of the stage. Nothing is visible until vol-commit.
      """,
    version: volpipeVersion)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Chunk shape: X,Y,Z[,T], isotropic, axial, coronal, sagittal or auto.", valueName: "shape"))
  var chunk = ChunkShape.automatic

  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp("Zstandard level, 1 to 19.", valueName: "level"))
  var level = 1

  @Flag(name: .customLong("no-shuffle"), help: "Do not shuffle bytes before compression.")
  var noShuffle = false

  @OptionGroup var jobs: JobsOption

  @Option(
    help: ArgumentHelp(
      "Begin a new pack after SIZE bytes; K, M, G and T are powers of 1024.", valueName: "size"))
  var packSize = ByteSize(bytes: 4 << 30)

  @Option(
    help: ArgumentHelp(
      "Make ids from \(NameTemplate.fields) (default: {name}, and _COLLECTION unless it ends so).",
      valueName: "template"))
  var obsID: String?

  @Flag(help: "Leave out volumes that the dataset holds already; one that differs is an error.")
  var skipExisting = false

  @Flag(help: "Leave out volumes that the dataset holds already; one that differs replaces it.")
  var replace = false

  @Flag(
    name: .shortAndLong,
    help: "Leave out and report a volume that cannot come in, stage the others, and exit 1.")
  var keepGoing = false

  @Flag(name: .shortAndLong, help: "Show no progress, and no count of volumes left out.")
  var quiet = false

  @Argument(help: "The dataset's directory, made if need be.")
  var dataset: String

  @Argument(
    help: "The collection that the volumes belong to, or a template of it as for --obs-id.")
  var collection: ExactString

  func validate() throws {
    try requireLocal(dataset)
    guard (1...19).contains(level) else { throw ValidationError("--level takes 1 to 19") }
    guard !replace || !skipExisting else {
      throw ValidationError("--replace and --skip-existing exclude each other")
    }
    _ = try template
    if case .collection(let name) = try destination, let defect = Names.defect(ofCollection: name) {
      throw ValidationError("'\(collection)' cannot name a collection: \(defect)")
    }
  }

  private var template: NameTemplate? {
    get throws {
      try obsID.map { try NameTemplate(option: "template of ids", $0, folders: .joined) }
    }
  }

  private var destination: StageOptions.Destination {
    get throws {
      let template = try NameTemplate(
        option: "name or template of a collection", collection.string, folders: .joined)
      return template.hasFields ? .template(template) : .collection(collection)
    }
  }

  func execute() throws -> ExitStatus {
    let input = try binaryInput()
    var options = StageOptions()
    options.chunk = chunk
    options.level = level
    options.shuffle = !noShuffle
    options.jobs = jobs.count
    options.packSize = packSize.bytes
    options.obsID = try template
    options.existing = replace ? .replace : skipExisting ? .skip : .refuse
    options.objection = { $0.contradiction() }
    options.tool = Self.nameAndVersion
    try options.unfinished.removeOnSignal()
    let progress = Progress(Self.toolName, quiet: quiet, takesStream: true)
    let tell = { (refusal: FormatError) in
      progress.clear()
      Self.warn(explain(refusal).message)
    }
    let writer = try StageWriter(
      try createDataset(dataset), destination, options: options,
      report: keepGoing ? tell : nil)
    let summary: StageSummary
    do {
      summary = try writer.write(FrameReader(input)) { progress.add(volumes: 1, bytes: $0) }
    } catch {
      options.unfinished.yieldToSignal()
      progress.clear()
      throw error
    }
    options.unfinished.yieldToSignal()
    progress.finish()
    return try report(summary)
  }

  private func report(_ summary: StageSummary) throws -> ExitStatus {
    let lost = summary.dropped &+ summary.skipped
    reportExisting(summary)
    for error in summary.unread {
      Self.warn("not compared with what this record stands for: \(explain(error).message)")
    }
    let isPartial = lost + summary.refused > 0 || !summary.unread.isEmpty
    guard !summary.stages.isEmpty else {
      if summary.existing > 0 { return isPartial ? .partial : .done }
      throw ToolFailure(
        .noInput,
        "nothing staged: the stream holds no volume"
          + (summary.refused > 0 ? " that can come in" : "")
          + (lost > 0 ? ", its producer gave up \(lost)" : ""))
    }
    let output = LineWriter()
    for stage in summary.stages { try output.line(stage.stage) }
    try output.finish()
    guard lost + summary.refused > 0 else { return isPartial ? .partial : .done }
    let staged = summary.stages.reduce(0) { $0 + $1.volumes }
    var left: [String] = []
    if lost > 0 { left.append("the producer gave up \(lost) more") }
    if summary.refused > 0 { left.append("left out \(summary.refused)") }
    Self.warn("staged \(counted(staged, "volume")); \(left.joined(separator: "; "))")
    return .partial
  }

  private func reportExisting(_ summary: StageSummary) {
    if summary.existing > 0, !quiet {
      Self.warn("\(counted(summary.existing, "volume")) there already")
    }
    if summary.otherAttributes > 0 {
      Self.warn(
        "warning: of those that are there, \(summary.otherAttributes) "
          + (summary.otherAttributes == 1 ? "has" : "have")
          + " another subject or other attributes in the stream, which were not taken")
    }
  }

  static func main() { start() }
}

import ArgumentParser
import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolVerify: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-verify",
    abstract: "Look for damage in a dataset.",
    discussion: """
      Checks the manifests and all that a snapshot needs. What is damaged is named, a line each, \
      by file, volume and chunk, and the exit status is 1.
      """,
    version: volpipeVersion)

  @Flag(help: "Check manifests, sizes and indexes (default).")
  var quick = false

  @Flag(help: "Check every digest and every chunk too.")
  var full = false

  @Option(
    help: ArgumentHelp(
      "Take what is missing or damaged from another copy of the dataset first; implies --full.",
      valueName: "other"))
  var repairFrom: String?

  @OptionGroup var jobs: JobsOption

  @OptionGroup var expected: ExpectOption

  @Flag(help: "Write JSON, one object a line.")
  var json = false

  @Flag(name: .shortAndLong, help: "Show no progress and no count at the end.")
  var quiet = false

  @Argument(
    help: ArgumentHelp("The dataset, and a snapshot if not the last.", valueName: "dataset[@n]"))
  var dataset: DatasetArgument

  func validate() throws {
    try dataset.requireLocal()
    try requireLocal(repairFrom)
    if quick, repairFrom != nil {
      throw ValidationError("--repair-from reads every byte, which --quick does not")
    }
    if quick && full { throw ValidationError("--quick and --full exclude each other") }
  }

  func execute() throws -> ExitStatus {
    let progress = Progress(Self.toolName, quiet: quiet)
    let findings = Findings(json: json)
    let opened = Result { try dataset.open() }
    // A dataset whose own mark is damaged is one; what is no dataset at all is another matter.
    if case .failure(let error as FormatError) = opened {
      try findings.add(.init(error))
      try findings.finish()
      return .partial
    }
    let root = try opened.get()
    if let repairFrom { try repair(root, from: repairFrom) }
    let full = full || repairFrom != nil
    let numbers = try root.snapshotNumbers()
    if numbers.isEmpty {
      throw ToolFailure(.noInput, "'\(dataset.path)' has no snapshot yet; vol-commit makes one")
    }
    if let number = dataset.snapshot?.number, !numbers.contains(number) {
      throw ToolFailure(.noInput, "'\(dataset.path)' has no snapshot \(number)")
    }
    var options = VolumeStreamer.Options(
      jobs: jobs.count, scratchDirectory: temporaryDirectory())
    options.progress = { progress.add(bytes: $0) }
    let verifier = Verifier(root, snapshot: dataset.snapshot?.number, options: options) { finding in
      progress.clear()
      findings.collect(finding)
    }
    for name in [dataset.snapshot, expected.snapshot].compactMap(\.self) {
      do {
        try root.require(
          name.number, sha256: name.sha256,
          before: dataset.snapshot?.number ?? numbers.last ?? name.number)
      } catch {
        try findings.add(.init(error))
      }
    }
    let summary = try verifier.run(isFull: full)
    progress.clear()
    try findings.finish()
    if !quiet {
      Self.warn(
        "\(counted(summary.files, "file")), \(counted(summary.volumes, "volume")), \(humanBytes(summary.bytes)): "
          + (findings.count == 0 ? "no damage found" : counted(findings.count, "finding"))
          + (full ? "" : "; --full reads the voxels too"))
    }
    return findings.count == 0 ? .done : .partial
  }

  /// Takes files from another copy.
  private func repair(_ root: Dataset, from other: String) throws {
    let repairer = try Repairer(root, from: openDataset(other)) { outcome in
      if let failure = outcome.failure {
        Self.warn("cannot take '\(outcome.path)' from '\(other)': \(explain(failure).message)")
      } else if !quiet {
        Self.warn("took '\(outcome.path)' from '\(other)', \(humanBytes(outcome.bytes))")
      }
    }
    try repairer.run(snapshot: dataset.snapshot?.number)
  }

  static func main() { start() }
}

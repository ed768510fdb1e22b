import ArgumentParser
import ByteIO
import ToolSupport
import VolumeFormat

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
          + (findings.count == 0 ? "no damage found" : "\(findings.count) findings")
          + (full ? "" : "; --full reads the voxels too"))
    }
    return findings.count == 0 ? .done : .partial
  }

  static func main() { start() }
}

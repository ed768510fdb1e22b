import ArgumentParser
import ByteIO
import NIfTI
import SystemPackage
import ToolSupport
import Frames

@main
struct NiftiCat: Tool {
  static let configuration = CommandConfiguration(
    commandName: "nifti-cat",
    abstract: "Write NIfTI files as a stream of volumes.",
    discussion: """
      Reads files, and folders all the way down, and writes their volumes to standard output as \
      frames. Voxels are passed on as stored: not scaled, not reoriented.
      """,
    version: volpipeVersion)

  @Option(
    name: [.customShort("T", allowingJoined: true), .customLong("files-from")],
    help: ArgumentHelp("Read paths from FILE, one a line; - for standard input.", valueName: "file")
  )
  var filesFrom: String?

  @Flag(name: [.customShort("0"), .customLong("null")], help: "Paths in FILE end in NUL.")
  var null = false

  @OptionGroup var jobs: JobsOption

  @Flag(name: .shortAndLong, help: "Report a bad file, go on with the next, and exit 1.")
  var keepGoing = false

  @Option(
    name: .customLong("attr"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp("Give every volume an attribute; repeatable.", valueName: "key=value"))
  var attributes: [KeyValue] = []

  @Option(
    help: ArgumentHelp(
      "Leave out files and folders of folders that GLOB matches, as in .gitignore; repeatable.",
      valueName: "glob"))
  var exclude: [String] = []

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Take the subject from the group of REGEX in the path, attributes from groups with names "
        + "(default: sub-XX of name or folder, else the name).", valueName: "regex"))
  var subjectFrom: String?

  @Option(
    help: ArgumentHelp(
      "Take standard input for the file PATH: its name, its subject, its folders.",
      valueName: "path"))
  var stdinName: String?

  @Option(
    help: ArgumentHelp(
      "Read the files in column path of FILE, a TSV or CSV; its other columns describe them.",
      valueName: "file"))
  var table: String?

  @Option(
    help: ArgumentHelp(
      "The column of --table that names the files (default: path, or filename in *_scans.tsv).",
      valueName: "col"))
  var pathColumn: ExactString?

  @Option(
    help: ArgumentHelp(
      "The folder that relative paths in --table begin at (default: the current one, or in "
        + "*_scans.tsv its own).", valueName: "folder"))
  var pathBase: String?

  @OptionGroup var missing: MissingOption

  @Flag(help: "Attach the JSON file beside a volume's, if there is one, as attribute sidecar.")
  var sidecar = false

  @Flag(help: "Refuse a file at which a warning would be due.")
  var strict = false

  @Flag(name: .shortAndLong, help: "Show no progress, no warnings and no count at the end.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "Name each file as it is read; count even one.")
  var verbose = false

  @Argument(help: "Files and folders; - reads one file from standard input.")
  var path: [String] = []

  func validate() throws {
    guard !path.isEmpty || filesFrom != nil || table != nil else {
      throw ValidationError("no file, folder, --files-from or --table is given")
    }
    guard table == nil || (path.isEmpty && filesFrom == nil) else {
      throw ValidationError("--table is the list of files; it takes no others")
    }
    guard table != nil || (pathColumn == nil && pathBase == nil && missing.tokens.isEmpty) else {
      throw ValidationError("--path-column, --path-base and --missing are for --table")
    }
    guard path.allSatisfy({ !$0.isEmpty }) else { throw ValidationError("a path is empty") }
    try requireStandardInputOnce(path + [filesFrom].compactMap(\.self))
    try requireLocal(path + [filesFrom, table, pathBase].compactMap(\.self))
    guard
      stdinName.map({ !$0.isEmpty && path.contains(where: StandardStream.isMeant(by:)) }) != false
    else {
      throw ValidationError("--stdin-name is for standard input, which - names")
    }
    _ = try rule
    _ = try excluded
  }

  private var excluded: PathRules {
    get throws {
      var rules = PathRules()
      for glob in exclude {
        do throws(Pattern.SyntaxError) {
          try rules.add(glob)
        } catch {
          throw ValidationError("--exclude takes no '\(bounded(glob, 200))': \(error.reason)")
        }
      }
      return rules
    }
  }

  private var rule: SubjectRule? {
    get throws {
      guard let subjectFrom else { return nil }
      do {
        return try SubjectRule(subjectFrom)
      } catch let error as Pattern.SyntaxError {
        throw ValidationError(
          "--subject-from is not a regular expression: '\(bounded(subjectFrom, 200))': "
            + error.reason)
      } catch {
        throw ValidationError("--subject-from has no group, as in 'sub-([0-9]+)'")
      }
    }
  }

  func execute() throws -> ExitStatus {
    let output = try binaryOutput()
    let paths = filePaths(of: path)
    let sources: SourceList
    if let table {
      sources = SourceList(
        try SourceTable(
          try input(table), pathColumn: pathColumn,
          folder: pathBase.map { filePaths(of: [$0])[0] }, missing: missing.values))
    } else {
      sources = SourceList(
        paths, list: try filesFrom.map { PathList(try input($0), nulSeparated: null) },
        excluded: try excluded, standardInput: stdinName.map { FilePath($0) })
    }
    let progress = Progress(Self.toolName, quiet: quiet)
    if progress.isActive, filesFrom == nil, table == nil { progress.expect(totalSize(paths)) }
    var run = CatRun(
      options: self, writer: FrameWriter(output), progress: progress)
    let naming = SourceNaming(rule: try rule, readsSidecars: sidecar)
    let ahead = try ReadAhead(jobs: jobs.count, naming: naming) { try sources.next() }
    defer { ahead.cancel() }
    let status: ExitStatus
    do {
      status = try run.pass(ahead) { sources.tally.remarks }
    } catch {
      progress.clear()
      throw error
    }
    try output.close()
    progress.finish()
    return status
  }

  private func input(_ name: String) throws -> InputFile {
    StandardStream.isMeant(by: name)
      ? .standardInput : try InputFile(filePaths(of: [name])[0])
  }

  private func totalSize(_ paths: [FilePath]) -> UInt64 {
    let sources = SourceList(paths.filter { !StandardStream.isMeant(by: $0) }, list: nil)
    var sum: UInt64 = 0
    while true {
      do {
        guard let source = try sources.next() else { return sum }
        let (more, overflow) = sum.addingReportingOverflow(source.files.size)
        // Sizes are what a file system says; of such a sum nobody needs a share.
        if overflow { return 0 }
        sum = more
      } catch {}  // It will be reported when its turn comes.
    }
  }

  static func main() { start() }
}

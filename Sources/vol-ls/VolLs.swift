import ArgumentParser
import ByteIO
import NIfTI
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolLs: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-ls",
    abstract: "List what a dataset or a stream of volumes holds.",
    discussion: """
      Lists collections; with COLLECTION, its volumes; with - for DATASET, the volumes of a stream \
      of frames on standard input, which is checked whole.
      """,
    version: volpipeVersion)

  @Flag(help: "Write JSON, one object a line.")
  var json = false

  @Flag(help: "Write fields separated by tabs, a line of names first.")
  var tsv = false

  @Flag(help: "List the snapshots.")
  var snapshots = false

  @Flag(help: "List finished stages that are not committed.")
  var staged = false

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("List volumes that differ between two snapshots.", valueName: "n m"))
  var diff: [String] = []

  @Flag(help: "List the subjects, with their volumes in each collection.")
  var subjects = false

  @Flag(help: "List which subjects are missing from which collection.")
  var align = false

  @Flag(help: "Write the manifest as it is.")
  var manifest = false

  @Flag(help: "Write digests of all files, for sha256sum -c run in the dataset.")
  var sha256 = false

  @Flag(help: "Write a kerchunk reference file, for programs that read Zarr.")
  var refs = false

  @Option(
    help: ArgumentHelp(
      "With --refs, where the dataset is for its readers (default: its absolute path).",
      valueName: "url"))
  var location: String?

  @Argument(
    help: ArgumentHelp(
      "The dataset, and a snapshot if not the last; - for a stream.", valueName: "dataset[@n]"))
  var named: DatasetArgument?

  @OptionGroup var expected: ExpectOption

  @Argument(help: "The collection whose volumes to list.")
  var collection: ExactString?

  @Argument(help: "With --refs, volumes of the collection (default: all).")
  var obsID: [ExactString] = []

  /// The dataset, which may have been taken for a third operand of `--diff`.
  private var dataset: DatasetArgument {
    named ?? diff.dropFirst(2).first.flatMap(DatasetArgument.init) ?? DatasetArgument(path: "")
  }

  func validate() throws {
    guard !dataset.path.isEmpty else { throw ValidationError("no dataset is given") }
    try dataset.requireLocal()
    guard diff.isEmpty || diff.count == (named == nil ? 3 : 2),
      diff.prefix(2).allSatisfy({ UInt64($0) != nil })
    else { throw ValidationError("--diff takes the numbers of two snapshots") }
    if json && tsv { throw ValidationError("--json and --tsv exclude each other") }
    let kinds = [snapshots, staged, subjects, align, !diff.isEmpty, manifest, sha256, refs].count {
      $0
    }
    if kinds > 1 {
      throw ValidationError(
        "--snapshots, --staged, --subjects, --align, --diff, --manifest, --sha256 and --refs "
          + "exclude each other")
    }
    if !refs, !obsID.isEmpty || location != nil {
      throw ValidationError("single volumes and --location are for --refs")
    }
    if refs, isStream { throw ValidationError("--refs is about a dataset") }
    if kinds > 0, !refs, collection != nil || isStream {
      throw ValidationError("this option lists a whole dataset, no collection and no stream")
    }
    if isStream, collection != nil {
      throw ValidationError("a stream has no collections")
    }
    if manifest || sha256 || refs, json || tsv {
      throw ValidationError("--manifest, --sha256 and --refs have a form of their own")
    }
    if snapshots || staged || !diff.isEmpty, dataset.snapshot != nil {
      throw ValidationError("this option is not about one snapshot")
    }
  }

  /// Whether it is about a stream of frames, not about a dataset.
  private var isStream: Bool { StandardStream.isMeant(by: dataset.path) }

  private var style: Listing.Style { json ? .json : tsv ? .tsv : .table }

  func execute() throws -> ExitStatus {
    let output = LineWriter()
    var status = ExitStatus.done
    if isStream {
      status = try listStream(output)
    } else if snapshots {
      try listSnapshots(output)
    } else if staged {
      status = try listStaged(output)
    } else if !diff.isEmpty {
      try listDiff(output)
    } else if subjects || align {
      try SubjectListing(snapshot: try openSnapshot(), style: style, output: output)
        .list(missingOnly: align)
    } else if manifest {
      let snapshot = try openSnapshot()
      let bytes = try snapshot.dataset.manifestBytes(snapshot.manifest.snapshot)
      try output.bytes(try shown(bytes ?? [], output))
    } else if sha256 {
      for file in try openSnapshot().manifest.files {
        try output.line("\(file.sha256)  \(file.path)")
      }
    } else if refs {
      try writeReferences(output)
    } else if let collection {
      try listVolumes(of: collection, output)
    } else {
      try listCollections(output)
    }
    try output.finish()
    return status
  }

  private func openSnapshot() throws -> Snapshot {
    try dataset.openSnapshot(expecting: expected.snapshot)
  }

  // MARK: What is listed

  private func listCollections(_ output: LineWriter) throws {
    var listing = Listing(
      ["collection", "volumes", "raw_bytes", "stored_bytes", "ratio"], style, output)
    let collections = try openSnapshot().manifest.collections
    for (name, totals) in collections.sorted(by: { $0.key < $1.key }) {
      try listing.add([
        .text(name), .count(totals.volumes), .bytes(totals.rawBytes), .bytes(totals.storedBytes),
        .real(Double(totals.rawBytes) / Double(max(1, totals.storedBytes)), digits: 2),
      ])
    }
    try listing.finish()
  }

  private func listVolumes(of collection: ExactString, _ output: LineWriter) throws {
    let snapshot = try openSnapshot()
    try snapshot.requireCollection(collection)
    var listing = Listing(VolumeRow.names, style, output)
    try snapshot.forEachVolume(collection: collection) { stage, record in
      if json {
        var line = JSONWriter()
        try record.list(in: snapshot.dataset.name(of: stage.catalog), to: &line)
        try output.bytes(line.bytes)
      } else {
        try listing.add(
          VolumeRow.cells(try record.summary(in: snapshot.dataset.name(of: stage.catalog)), record))
      }
      return true
    }
    try listing.finish()
  }

  private func writeReferences(_ output: LineWriter) throws {
    let snapshot = try openSnapshot()
    if let collection { try snapshot.requireCollection(collection) }
    let place = try location ?? "file://\(absolutePath(snapshot.dataset.path))"
    let file = ReferenceFile(snapshot, location: place) { try output.bytes($0) }
    if let missing = try file.write(collection: collection, ids: obsID) {
      throw ToolFailure(.noInput, "no volume '\(missing)' in collection '\(collection ?? "")'")
    }
  }

  /// A manifest as it is; to a terminal written anew, so that this acts on nothing in it.
  private func shown(_ manifest: [UInt8], _ output: LineWriter) throws -> [UInt8] {
    guard output.isTerminal, !manifest.isEmpty else { return manifest }
    return JSON.encode(try JSON.parse(manifest, in: dataset.path).value, pretty: true) + [0x0A]
  }

  private func listSnapshots(_ output: LineWriter) throws {
    let dataset = try dataset.open()
    var listing = Listing(
      ["snapshot", "parent", "created", "volumes", "tool", "metadata"], style, output)
    try dataset.forEachManifest { manifest in
      try listing.add([
        .count(manifest.snapshot), manifest.parent.map { .count($0.snapshot) } ?? .none,
        .text(ExactString(manifest.created)),
        .count(manifest.collections.values.reduce(0) { $0 &+ $1.volumes }),
        .text(ExactString(manifest.tool)),
        .json(.object(manifest.metadata)),
      ])
    }
    try listing.finish()
  }

  private func listDiff(_ output: LineWriter) throws {
    let dataset = try dataset.open()
    let manifests = try diff.prefix(2).compactMap { UInt64($0) }.map { number in
      guard let manifest = try dataset.manifest(number) else {
        throw ToolFailure(
          .noInput, "'\(dataset.path)' has no snapshot \(number); vol-ls --snapshots lists them")
      }
      return manifest
    }
    var listing = Listing(["change", "collection", "obs_id"], style, output)
    try SnapshotDiff(dataset, from: manifests[0], to: manifests[1]).forEach {
      try listing.add([.text(ExactString($0.rawValue)), .text($1), .text($2)])
    }
    try listing.finish()
  }

  private func listStaged(_ output: LineWriter) throws -> ExitStatus {
    let dataset = try dataset.open()
    var listing = Listing(
      [
        "stage", "collection", "volumes", "raw_bytes", "stored_bytes", "created", "subject_rows",
        "state",
      ],
      style, output)
    let pending = try dataset.pending(besides: dataset.manifest())
    func add(_ stage: Stage, _ state: ExactString) throws {
      try listing.add([
        .text(ExactString(stage.stage)), .text(stage.collection), .count(stage.volumes),
        .bytes(stage.rawBytes), .bytes(stage.storedBytes), .text(ExactString(stage.created)),
        .none, .text(state),
      ])
    }
    for stage in pending.stages { try add(stage, "finished") }
    for table in pending.tables {
      try listing.add([
        .text(ExactString(table.stage)), .none, .none, .none, .bytes(table.file.bytes),
        .text(ExactString(table.created)), .count(table.rows), .text("finished"),
      ])
    }
    for stage in pending.cut { try add(stage, "incomplete") }
    try listing.finish()
    for error in pending.damage { Self.warn("left out: \(explain(error).message)") }
    return pending.damage.isEmpty ? .done : .partial
  }

  private func listStream(_ output: LineWriter) throws -> ExitStatus {
    let reader = FrameReader(try binaryInput())
    var listing = Listing(VolumeRow.streamNames, style, output)
    var current: VolumeHeader?
    var lost: UInt64 = 0
    while let event = try reader.next() {
      switch event {
      case .open(let header):
        if let reason = header.contradiction() {
          throw FormatError(
            reader.source, at: reader.frameOffset, "volume '\(header.label)': \(reason)")
        }
        current = header
      case .close(_, let quirks):
        guard var header = current else { continue }
        if !quirks.isEmpty { header.quirks = (header.quirks ?? []) + quirks }
        if json {
          try output.bytes(JSON.encode(header.json) + [0x0A])
        } else {
          try listing.add(VolumeRow.streamCells(header))
        }
      case .drop(let reason):
        lost += 1
        Self.warn("volume '\(current?.label ?? "")' was dropped: \(reason)")
      case .end(let skipped): lost &+= skipped
      case .data, .extra: break
      }
    }
    try listing.finish()
    guard lost > 0 else { return .done }
    Self.warn("the producer gave up \(counted(lost, "volume"))")
    return .partial
  }

  static func main() { start() }
}

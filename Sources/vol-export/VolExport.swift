import ArgumentParser
import ByteIO
import NIfTI
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolExport: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-export",
    abstract: "Write volumes of a dataset as a Zarr store or a tree of NIfTI files.",
    discussion: """
      A Zarr store is made of the dataset's own bytes, without compressing them again, after every \
      chunk was verified; it appears whole or not at all.
      """,
    version: volpipeVersion)

  @Option(
    help: ArgumentHelp("Make a Zarr v3 store, which must not exist yet.", valueName: "dir"))
  var zarr: String?

  @Option(
    help: ArgumentHelp("Make NIfTI files in COLLECTION/ below DIR.", valueName: "dir"))
  var nifti: String?

  @Flag(help: "Name the NIfTI files as the Brain Imaging Data Structure does.")
  var bids = false

  @Option(
    name: [.customShort("z", allowingJoined: true), .customLong("gzip")],
    help: ArgumentHelp("Compress NIfTI files with gzip at LEVEL, 1 to 9.", valueName: "level"))
  var gzip: Int?

  @Flag(name: .shortAndLong, help: "Replace NIfTI files that exist.")
  var force = false

  @OptionGroup var jobs: JobsOption

  @OptionGroup var expected: ExpectOption

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  @Argument(
    help: ArgumentHelp("The dataset, and a snapshot if not the last.", valueName: "dataset[@n]"))
  var dataset: DatasetArgument

  @Argument(help: "The collection (default: all).")
  var collection: ExactString?

  @Argument(help: "Volumes of the collection (default: all).")
  var obsID: [ExactString] = []

  func validate() throws {
    try dataset.requireLocal()
    try requireLocal(zarr, nifti)
    if (zarr == nil) == (nifti == nil) {
      throw ValidationError("one of --zarr and --nifti says what to make")
    }
    if (zarr ?? nifti ?? "").isEmpty { throw ValidationError("the folder's name is empty") }
    if zarr != nil, bids || force || gzip != nil {
      throw ValidationError("--bids, --gzip and --force are for --nifti")
    }
    if let gzip, !(1...9).contains(gzip) { throw ValidationError("--gzip takes 1 to 9") }
  }

  func execute() throws -> ExitStatus {
    let snapshot = try dataset.openSnapshot(expecting: expected.snapshot)
    if let collection { try snapshot.requireCollection(collection) }
    try snapshot.checkCatalogs(of: collection)
    let progress = Progress(Self.toolName, quiet: quiet)
    if obsID.isEmpty {
      let totals = snapshot.manifest.collections.filter { $0.key == collection ?? $0.key }
      progress.expect(totals.values.reduce(0) { $0 &+ $1.rawBytes })
    }
    var options = VolumeStreamer.Options(
      jobs: jobs.count, scratchDirectory: temporaryDirectory())
    options.progress = { progress.add(volumes: 1, bytes: $0, work: $0) }
    defer { progress.clear() }
    if let zarr {
      let store = try ZarrStore(zarr, snapshot, collection: collection)
      do {
        try copy(snapshot, to: store, options)
        try store.publish()
      } catch {
        store.remove()
        throw error
      }
    } else if let nifti {
      try Publishing.makeDirectories(nifti)
      if bids { return try exportBIDS(to: nifti, snapshot, options, progress) }
      let writer = NIfTIWriter(
        .init(
          folder: nifti, name: try NameTemplate("{collection}/{name}", folders: .kept), gzip: gzip,
          replaces: force, advice: "vol-cat | nifti-write --name makes names that differ"))
      do {
        try copy(snapshot, to: NIfTISink(writer), options)
      } catch {
        writer.drop()
        throw error
      }
    }
    progress.finish()
    return .done
  }

  private func exportBIDS(
    to folder: String, _ snapshot: Snapshot, _ options: VolumeStreamer.Options, _ progress: Progress
  ) throws -> ExitStatus {
    let tree = try BIDSTree(folder: folder, gzip: gzip, replaces: force)
    do {
      try copy(snapshot, to: tree, options)
      let table = try snapshot.manifest.subjects.map {
        let reader = try SubjectTableReader($0, of: snapshot.dataset)
        return BIDSTree.SubjectRows(columns: reader.columns.map(\.name), next: reader.next)
      }
      let name = try absolutePath(dataset.path).split(separator: "/").last
      try tree.finish(
        name: name.map(String.init) ?? dataset.path, tool: ("volpipe", volpipeVersion), table: table
      )
    } catch {
      tree.drop()
      throw error
    }
    progress.finish()
    return .done
  }

  /// Reads all volumes that are wanted into `sink`.
  private func copy(
    _ snapshot: Snapshot, to sink: any VolumeSink, _ options: VolumeStreamer.Options
  ) throws {
    let streamer = try VolumeStreamer(snapshot, to: sink, options: options)
    do {
      if let collection, !obsID.isEmpty {
        for id in obsID {
          guard let (stage, record) = try snapshot.volume(id, collection: collection) else {
            throw ToolFailure(.noInput, "no volume '\(id)' in collection '\(collection)'")
          }
          try streamer.add(record, of: stage)
        }
      } else {
        try snapshot.forEachVolume(collection: collection) { stage, record in
          try streamer.add(record, of: stage)
          return true
        }
      }
      try streamer.end()
    } catch {
      streamer.cancel()
      throw error
    }
  }

  static func main() { start() }
}

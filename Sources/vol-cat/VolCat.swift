import ArgumentParser
import ByteIO
import NIfTI
import DatasetSupport
import ToolSupport
import Datasets
import Frames

@main
struct VolCat: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-cat",
    abstract: "Write volumes of a dataset, or regions of them, as a stream of frames.",
    discussion: """
      Every chunk's checksum is verified. On damage the stream is left without its end, so that \
      no consumer takes it for whole.
      """,
    version: volpipeVersion)

  @OptionGroup var part: RegionOptions

  @Flag(help: "Write one volume's voxels alone, little-endian, X fastest.")
  var raw = false

  @Flag(help: "Write one volume as a NumPy array file.")
  var npy = false

  @Flag(help: "Write one volume as a NIfTI file: its source again, if it is whole.")
  var nifti = false

  @Flag(help: "Answer requests on standard input, OBS_ID REGION a line, until it ends.")
  var batch = false

  @OptionGroup var jobs: JobsOption

  @OptionGroup var expected: ExpectOption

  @Flag(name: .shortAndLong, help: "Drop a damaged volume, go on with the next, and exit 1.")
  var keepGoing = false

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  @Argument(
    help: ArgumentHelp("The dataset, and a snapshot if not the last.", valueName: "dataset[@n]"))
  var dataset: DatasetArgument

  @Argument(help: "The collection (default: all).")
  var collection: ExactString?

  @Argument(help: "Volumes of the collection (default: all).")
  var obsID: [ExactString] = []

  private var isSingle: Bool { raw || npy || nifti }

  func validate() throws {
    try dataset.requireLocal()
    if [raw, npy, nifti, batch].count(where: { $0 }) > 1 {
      throw ValidationError("--raw, --npy, --nifti and --batch exclude each other")
    }
    if isSingle, obsID.count != 1 {
      throw ValidationError("--raw, --npy and --nifti write one volume: name a collection and it")
    }
    if keepGoing, isSingle || batch {
      throw ValidationError("--keep-going is for a stream of frames")
    }
    if batch, !obsID.isEmpty || part.isGiven {
      throw ValidationError("with --batch, volumes and regions come on standard input")
    }
  }

  func execute() throws -> ExitStatus {
    let region = try part.region()
    let output = try binaryOutput()
    let snapshot = try dataset.openSnapshot(expecting: expected.snapshot)
    if let collection { try snapshot.requireCollection(collection) }
    if batch { return try serve(snapshot, output) }
    let progress = Progress(Self.toolName, quiet: quiet)
    if obsID.isEmpty, !part.isGiven {
      let totals = snapshot.manifest.collections.filter { $0.key == collection ?? $0.key }
      progress.expect(totals.values.reduce(0) { $0 &+ $1.rawBytes })
    }
    var options = VolumeStreamer.Options(
      jobs: jobs.count, scratchDirectory: temporaryDirectory())
    options.progress = { progress.add(volumes: 1, bytes: $0, work: $0) }
    if keepGoing {
      options.onDamage = { error in
        progress.clear()
        Self.warn(explain(error).message)
      }
    }
    let streamer = try VolumeStreamer(snapshot, to: try sink(output), options: options)
    do {
      try add(to: streamer, snapshot, region)
      try streamer.end()
    } catch {
      streamer.cancel()
      progress.clear()
      throw error
    }
    // A NIfTI file was closed by its writer.
    if !nifti { try output.close() }
    progress.finish()
    return streamer.lost > 0 ? .partial : .done
  }

  private func sink(_ output: OutputFile) throws -> any VolumeSink {
    if nifti {
      return NIfTISink(
        NIfTIWriter(.init(folder: nil, name: { ExactString($0.label) }, gzip: nil, replaces: false))
      )
    }
    return raw || npy ? ArraySink(output, isNumPy: npy) : FrameSink(output)
  }

  private func add(
    to streamer: VolumeStreamer, _ snapshot: Snapshot, _ region: Region
  ) throws {
    func add(_ record: CatalogRecord, _ stage: Stage) throws {
      do {
        try streamer.add(record, of: stage, region: region)
      } catch let mismatch as Region.Mismatch {
        throw ToolFailure(
          .noInput, "no such region of volume '\(record.obsID)': \(mismatch.reason)")
      }
    }
    guard let collection, !obsID.isEmpty else {
      var onDamage: ((any Error, UInt64) -> Void)?
      if keepGoing {
        onDamage = { error, volumes in
          Self.warn(explain(error).message)
          streamer.skip(max(1, volumes))
        }
      }
      try snapshot.forEachVolume(collection: collection, onDamage: onDamage) { stage, record in
        try add(record, stage)
        return true
      }
      return
    }
    for id in obsID {
      let found = Result { try snapshot.volume(id, collection: collection) }
      if keepGoing, case .failure(let error) = found {
        Self.warn(explain(error).message)
        streamer.skip(1)
        continue
      }
      guard let (stage, record) = try found.get() else {
        throw ToolFailure(.noInput, "no volume '\(id)' in collection '\(collection)'")
      }
      try add(record, stage)
    }
  }

  /// Answers requests until there are no more.
  private func serve(_ snapshot: Snapshot, _ output: OutputFile) throws -> ExitStatus {
    let server = try RegionServer(snapshot, collection: collection, to: output, jobs: jobs.count)
    var requests = LineList(.standardInput, nulSeparated: false)
    do {
      while let request = try requests.next() { try server.take(request) }
      try server.end()
    } catch let error as LineList.TooLong {
      // What follows it cannot be told from it.
      try server.refuse(tooLong: error.maximum)
      try server.end()
      throw FormatError(error.path, "a request is over \(error.maximum) bytes long")
    } catch {
      server.cancel()
      throw error
    }
    try output.close()
    return .done
  }

  static func main() { start() }
}

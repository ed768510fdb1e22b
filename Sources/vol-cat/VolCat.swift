import ArgumentParser
import ByteIO
import ToolSupport
import VolumeFormat

@main
struct VolCat: Tool {
  static let configuration = CommandConfiguration(
    commandName: "vol-cat",
    abstract: "Write volumes of a dataset as a stream of frames.",
    discussion: """
      Every chunk's checksum is verified. On damage the stream is left without its end, so that \
      no consumer takes it for whole.
      """,
    version: volpipeVersion)

  @OptionGroup var jobs: JobsOption

  @Flag(name: .shortAndLong, help: "Drop a damaged volume, go on with the next, and exit 1.")
  var keepGoing = false

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  @Argument(
    help: ArgumentHelp("The dataset, and a snapshot if not the last.", valueName: "dataset[@n]"))
  var dataset: DatasetArgument

  @Argument(help: "The collection (default: all).")
  var collection: String?

  @Argument(help: "Volumes of the collection (default: all).")
  var obsID: [String] = []

  func execute() throws -> ExitStatus {
    let output = try binaryOutput()
    let snapshot = try dataset.openSnapshot()
    if let collection { try snapshot.requireCollection(collection) }
    let progress = Progress(quiet: quiet)
    if obsID.isEmpty {
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
    let streamer = VolumeStreamer(snapshot, to: output, options: options)
    do {
      try add(to: streamer, snapshot)
      try streamer.end()
    } catch {
      streamer.cancel()
      progress.clear()
      throw error
    }
    try output.close()
    progress.finish()
    return streamer.lost > 0 ? .partial : .done
  }

  private func add(to streamer: VolumeStreamer, _ snapshot: Snapshot) throws {
    guard let collection, !obsID.isEmpty else {
      var onDamage: ((any Error, UInt64) -> Void)?
      if keepGoing {
        onDamage = { error, volumes in
          Self.warn(explain(error).message)
          streamer.skip(max(1, volumes))
        }
      }
      try snapshot.forEachVolume(collection: collection, onDamage: onDamage) { stage, record in
        try streamer.add(record, of: stage)
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
      try streamer.add(record, of: stage)
    }
  }

  static func main() { start() }
}

import ArgumentParser
import ByteIO
import Glibc
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
    let named = getenv("TMPDIR").map { String(cString: $0) } ?? ""
    let temporary = named.isEmpty ? "/tmp" : named
    let streamer = VolumeStreamer(
      snapshot, to: output, jobs: jobs.count, scratchDirectory: temporary
    ) { progress.add(volumes: 1, bytes: $0, work: $0) }
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
    return .done
  }

  private func add(to streamer: VolumeStreamer, _ snapshot: Snapshot) throws {
    guard let collection, !obsID.isEmpty else {
      try snapshot.forEachVolume(collection: collection) { stage, record in
        try streamer.add(record, of: stage)
        return true
      }
      return
    }
    for id in obsID {
      guard let (stage, record) = try snapshot.volume(id, collection: collection) else {
        throw ToolFailure(.noInput, "no volume '\(id)' in collection '\(collection)'")
      }
      try streamer.add(record, of: stage)
    }
  }

  static func main() { start() }
}

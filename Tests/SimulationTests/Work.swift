import ByteIO
import Chunks
import Datasets
import Frames
import Storage

/// What processes do to a dataset.
enum Work {
  /// Stages a load, in one collection or in one for each volume.
  static func write(
    _ load: Streams.Load, to dataset: Dataset, _ existing: StageOptions.Existing, inOne: Bool
  ) throws -> [Stage] {
    var options = StageOptions()
    options.jobs = 0
    options.existing = existing
    // A pack for each volume.
    options.packSize = 1
    let destination: StageOptions.Destination =
      inOne ? .collection("CT") : .template(try NameTemplate("{name}", folders: .joined))
    let writer = try StageWriter(dataset, destination, options: options)
    return try writer.write(try Streams.shared.reader(load)) { _ in }.stages
  }

  /// Stages a subject table with one column.
  static func stageTable(_ column: String, to dataset: Dataset) throws -> SubjectStage? {
    let stager = try SubjectStager(
      dataset, key: nil, replace: false, missing: MissingValues([]), tool: "test")
    var text = Array("{\"obs_subject_id\":\"s0\",\"\(column)\":1}\n".utf8)[...]
    var lines = LineList("table", nulSeparated: false, maximum: 1000, isStrict: false) { room in
      let part = text.prefix(room.count)
      part.withUnsafeBytes { room.copyMemory(from: $0) }
      text = text.dropFirst(part.count)
      return part.count
    }
    try stager.takeObjects(&lines, "table") { _, _ in }
    return try stager.finish()
  }

  /// Commits what is staged, if anything is.
  static func commit(_ dataset: Dataset) throws -> Manifest? {
    do {
      return try Committer(dataset, tool: "test").commit([], metadata: [:]).manifest
    } catch CommitRefusal.nothingStaged {
      return nil
    }
  }

  /// Looks at everything that a snapshot needs; what is wrong.
  static func verify(_ dataset: Dataset, _ snapshot: UInt64?) throws -> [String] {
    let found = Findings()
    let options = VolumeStreamer.Options(jobs: 0, scratchDirectory: "/nowhere")
    _ = try Verifier(dataset, snapshot: snapshot, options: options) { finding in
      found.add("\(finding.file): \(finding.problem)")
    }.run(isFull: true)
    return found.all
  }

  private final class Findings: @unchecked Sendable {
    private(set) var all: [String] = []
    func add(_ text: String) { all.append(text) }
  }

  /// Reads all volumes of a snapshot, each of which must be what its writer wrote; what is wrong.
  static func read(_ snapshot: Snapshot) throws -> [String] {
    let sink = CheckingSink()
    let options = VolumeStreamer.Options(jobs: 0, scratchDirectory: "/nowhere")
    let streamer = try VolumeStreamer(snapshot, to: sink, options: options)
    try snapshot.forEachVolume { stage, record in
      try streamer.add(record, of: stage)
      return true
    }
    try streamer.end()
    return sink.wrong
  }
}

/// Compares volumes with what was written.
private final class CheckingSink: VolumeSink {
  private(set) var wrong: [String] = []
  private var header: VolumeHeader?
  private var bytes: [UInt8] = []

  func open(_ header: VolumeHeader) {
    self.header = header
    bytes = []
  }
  func extra(_ bytes: [UInt8], afterVoxels: Bool) {}
  func data(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes += bytes }
  func close() {
    guard let header, let id = header.obsID?.string, let subject = header.obsSubjectID?.string,
      let writer = Int(subject.dropFirst())
    else { return wrong.append("a volume without a name") }
    if bytes != Streams.voxels(id, writer) { wrong.append("'\(id)' has other voxels") }
  }
  func drop(reason: String) { wrong.append("dropped: \(reason)") }
  func end(skipped: UInt64) { if skipped > 0 { wrong.append("skipped \(skipped)") } }
  var voxelCRC: UInt32? { nil }
}

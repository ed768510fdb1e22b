import ByteIO
import Glibc
import Chunks
import Datasets
import Frames

/// A dataset in memory with one committed volume, parts of which can be replaced.
public final class MemoryDataset {
  /// Its directory.
  public let path: String
  /// The stage of its volume.
  public let stage: Stage
  /// The manifest of its snapshot, as it was made.
  public let manifest: [UInt8]

  /// Makes it; the volume `v` has 8x8x8 voxels of int16 in chunks of 4x4x4.
  public init() throws {
    path = "/dev/shm/volpipe-fuzz-\(randomIdentifier())"
    let dataset = try Dataset.create(path)
    let stream = MemoryFile()
    stream.becomeStandardOutput()
    let writer = FrameWriter(OutputFile(borrowing: 1, name: "frames"))
    var header = VolumeHeader(name: "v", shape: [8, 8, 8], dtype: .int16)
    header.obsID = "v"
    try writer.open(header)
    let voxels = (0..<1024).map { UInt8(truncatingIfNeeded: $0 * 7 / 5) }
    try voxels.withUnsafeBytes { try writer.data($0) }
    try writer.close()
    try writer.end()
    var options = StageOptions()
    options.chunk = ChunkShape("4,4,4") ?? options.chunk
    let stager = try StageWriter(dataset, .collection("c"), options: options)
    guard
      let staged = try stager.write(
        FrameReader(try InputFile(stream.path)), progress: { _ in }
      ).stages.first
    else { preconditionFailure("nothing staged") }
    stage = staged
    _ = try Committer(dataset, tool: "fuzz").commit([], metadata: [:])
    manifest = try dataset.manifestBytes(1) ?? []
  }

  /// What stands in one of its files.
  public func contents(_ name: String) throws -> [UInt8] {
    let file = try InputFile("\(path)/\(name)")
    var bytes = [UInt8](repeating: 0, count: Int(try file.size() ?? 0))
    _ = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return bytes
  }

  /// Puts other bytes into one of its files.
  public func replace(_ name: String, _ bytes: [UInt8]) {
    let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(descriptor >= 0 && write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
  }

  /// Makes the manifest name a catalog of this size.
  public func setCatalogSize(_ size: Int) {
    let text = String(decoding: manifest, as: UTF8.self)
    let old = "\"bytes\" : \(stage.catalog.bytes)"
    precondition(text.contains(old), "no catalog in the manifest")
    let parts = text.split(separator: old, omittingEmptySubsequences: false)
    replace(
      "manifests/0000000001.json",
      sealed(Array(parts.joined(separator: "\"bytes\" : \(size)").utf8)))
  }

  /// Reads all volumes; damage must be an error of a known kind.
  public func readAll() {
    do {
      let dataset = try Dataset(opening: path)
      guard let snapshot = try Snapshot(dataset) else { return }
      let options = VolumeStreamer.Options(jobs: 1, scratchDirectory: "/dev/shm")
      let streamer = try VolumeStreamer(snapshot, to: DiscardingSink(), options: options)
      do {
        try snapshot.forEachVolume { stage, record in
          try streamer.add(record, of: stage)
          // And all but the first voxel of each axis, where there is another.
          if record.chunk.allSatisfy({ $0 > 1 }) {
            let slices = record.chunk.map { _ in Region.Slice.range(1, nil) }
            try streamer.add(record, of: stage, region: Region(slices))
          }
          return true
        }
        try streamer.end()
      } catch {
        streamer.cancel()
        throw error
      }
      _ = try snapshot.volume("v", collection: "c")
      _ = try SubjectList(snapshot)
    } catch {
      precondition(
        error is FormatError || error is IOFailure || error is Region.Mismatch,
        "an error of another kind: \(error)")
    }
  }
}

/// A JSON document with the digest that it must end in; as it is if it does not end as one must.
public func sealed(_ document: [UInt8]) -> [UInt8] {
  let end = Array("\n}\n".utf8)
  let member = Array(",\n  \"sha256\" : \"".utf8)
  var bytes = document
  let sealLength = member.count + 64 + 4
  if bytes.count > sealLength, bytes.suffix(sealLength).starts(with: member) {
    bytes = Array(bytes.dropLast(sealLength)) + end
  }
  guard bytes.suffix(3).elementsEqual(end) else { return document }
  let digest = bytes.withUnsafeBytes { hexadecimal(SHA256.of($0)) }
  return Array(bytes.dropLast(3)) + member + Array(digest.utf8) + Array("\"\n}\n".utf8)
}

/// What `body` gives, for what cannot fail but by a defect of the target.
public func required<T>(_ body: () throws -> T) -> T {
  do { return try body() } catch { preconditionFailure("\(error)") }
}

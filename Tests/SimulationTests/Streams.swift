import ByteIO
import Foundation
import Frames

/// Streams of small volumes, each by its writer and whether its volumes replace those that are there.
final class Streams: @unchecked Sendable {
  static let shared = Streams()
  private let folder: String
  private let monitor = Monitor()
  private var made: Set<String> = []

  private init() {
    folder = NSTemporaryDirectory() + "/volpipe-simulation-" + randomIdentifier()
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  /// What a writer stages.
  struct Load: Hashable {
    /// The writer's number.
    var writer: Int
    /// The ids of its volumes.
    var ids: [String]
  }

  /// The voxels of a volume of 5x3 that a writer wrote.
  static func voxels(_ id: String, _ writer: Int) -> [UInt8] {
    var dice = Dice(id.utf8.reduce(UInt64(writer)) { $0 &* 257 &+ UInt64($1) })
    return (0..<15).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
  }

  /// Opens the stream of a load.
  func reader(_ load: Load) throws -> FrameReader {
    let name = "\(folder)/\(load.writer)-\(load.ids.joined(separator: "-"))"
    try monitor.update {
      guard made.insert(name).inserted else { return }
      let file = try OutputFile(creating: name)
      let writer = FrameWriter(file)
      for id in load.ids {
        var header = VolumeHeader(name: ExactString(id), shape: [5, 3], dtype: .uint8)
        header.obsID = ExactString(id)
        header.obsSubjectID = ExactString("s\(load.writer)")
        try writer.open(header)
        try Self.voxels(id, load.writer).withUnsafeBytes { try writer.data($0) }
        try writer.close()
      }
      try writer.end()
      try file.close()
    }
    return FrameReader(try InputFile(name))
  }
}

import ByteIO
import Foundation
import Chunks
import Datasets
import Frames

/// A directory that lives as long as this object.
final class Scratch {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "/volpipe-" + randomIdentifier()
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    return "\(path)/\(name)"
  }

  func read(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))
  }
}

/// A volume for tests: voxels whose bytes all differ from their neighbours'.
struct TestVolume {
  var header: VolumeHeader
  var voxels: [UInt8]
  var before: [[UInt8]] = []
  var after: [[UInt8]] = []

  init(_ name: String, _ shape: [Int], _ dtype: DataType = .uint8, channels: Int = 1) {
    header = VolumeHeader(name: ExactString(name), shape: shape, dtype: dtype)
    header.channels = channels
    voxels = (0..<Int(header.byteCount)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
  }
}

/// The stream that carries `volumes`, its data in frames of at most `piece` bytes.
func stream(_ volumes: [TestVolume], in scratch: Scratch, piece: Int = 1 << 20) throws -> [UInt8] {
  let name = "stream-\(randomIdentifier())"
  let file = try OutputFile(creating: "\(scratch.path)/\(name)")
  let writer = FrameWriter(file)
  for volume in volumes {
    try writer.open(volume.header)
    for extra in volume.before { try extra.withUnsafeBytes { try writer.extra($0) } }
    for start in stride(from: 0, to: volume.voxels.count, by: piece) {
      let part = volume.voxels[start..<min(volume.voxels.count, start + piece)]
      try part.withUnsafeBytes { try writer.data($0) }
    }
    for extra in volume.after { try extra.withUnsafeBytes { try writer.extra($0) } }
    try writer.close()
  }
  try writer.end()
  try file.close()
  return try scratch.read(name)
}

/// All that a stream holds, as text that can be compared; the error where it is refused.
func transcript(_ reader: FrameReader, step: Int = .max) -> (lines: [String], error: String?) {
  var lines: [String] = []
  var body: [UInt8] = []
  do {
    while let event = try reader.next() {
      body = []
      while reader.bodyRemaining > 0 {
        var part = [UInt8](repeating: 0, count: min(step, reader.bodyRemaining))
        let count = try part.withUnsafeMutableBytes { try reader.readBody(into: $0) }
        body += part[..<count]
      }
      lines.append("\(event) \(hexadecimal(body))")
    }
    return (lines, nil)
  } catch {
    return (lines, "\(error)")
  }
}

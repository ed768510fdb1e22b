import ArgumentParser
import ByteIO
import NIfTI
import ToolSupport
import Frames

@main
struct NiftiWrite: Tool {
  static let configuration = CommandConfiguration(
    commandName: "nifti-write",
    abstract: "Write a stream of volumes as NIfTI files.",
    discussion: """
      A volume that came from a NIfTI file becomes that file again, byte for byte, uncompressed.
      """,
    version: volpipeVersion)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Write into DIR, made if need be; - writes one volume to standard output.",
      valueName: "dir"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "Name files after \(NameTemplate.fields).", valueName: "template"))
  var name = "{name}"

  @Option(
    name: [.customShort("z", allowingJoined: true), .customLong("gzip")],
    help: ArgumentHelp("Compress with gzip at LEVEL, 1 to 9.", valueName: "level"))
  var gzip: Int?

  @Flag(name: .shortAndLong, help: "Replace files that exist.")
  var force = false

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  private var template: NameTemplate {
    get throws { try NameTemplate(option: "template of names", name, folders: .kept) }
  }

  func validate() throws {
    guard !name.isEmpty else { throw ValidationError("--name is empty") }
    _ = try template
    try requireLocal(output)
    if let gzip, !(1...9).contains(gzip) { throw ValidationError("--gzip takes 1 to 9") }
    if output.isEmpty { throw ValidationError("--output is empty") }
  }

  /// Whether one volume is written to standard output, and no folder.
  private var isForStandardOutput: Bool { StandardStream.isMeant(by: output) }

  func execute() throws -> ExitStatus {
    let input = try binaryInput()
    if isForStandardOutput {
      _ = try binaryOutput()
    } else {
      try Publishing.makeDirectories(output)
    }
    let template = try template
    let writer = NIfTIWriter(
      .init(
        folder: isForStandardOutput ? nil : output, name: template, gzip: gzip,
        replaces: force, advice: "--name makes names that differ"))
    let progress = Progress(Self.toolName, quiet: quiet, takesStream: true)
    let reader = FrameReader(input)
    let lost: UInt64
    do {
      lost = try pass(reader, to: writer, progress)
    } catch {
      writer.drop()
      progress.clear()
      throw error
    }
    progress.finish()
    if isForStandardOutput, writer.volumes == 0 {
      throw ToolFailure(.noInput, "nothing written: the stream holds no volume")
    }
    guard lost > 0 else { return .done }
    Self.warn("the producer gave up \(counted(lost, "volume"))")
    return .partial
  }

  /// Writes all volumes; returns how many the producer gave up.
  private func pass(
    _ reader: FrameReader, to writer: NIfTIWriter, _ progress: Progress
  ) throws -> UInt64 {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var lost: UInt64 = 0
    var bytes: UInt64 = 0
    while let event = try reader.next() {
      switch event {
      case .open(let header):
        bytes = header.byteCount
        try writer.open(header)
      case .extra(let afterVoxels):
        try writer.extra(try reader.readWholeBody(), afterVoxels: afterVoxels)
      case .data:
        while reader.bodyRemaining > 0 {
          let count = try reader.readBody(into: buffer)
          try writer.data(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        }
      case .close:
        try writer.close()
        progress.add(volumes: 1, bytes: bytes)
      case .drop:
        writer.drop()
        lost += 1
      case .end(let skipped): lost &+= skipped
      }
    }
    return lost
  }

  static func main() { start() }
}

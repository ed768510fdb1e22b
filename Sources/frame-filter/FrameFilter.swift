import ArgumentParser
import ByteIO
import ToolSupport
import Frames

@main
struct FrameFilter: Tool {
  static let configuration = CommandConfiguration(
    commandName: "frame-filter",
    abstract: "Pass on the volumes of a stream that meet a condition.",
    discussion: """
      The condition is an expression over the header, such as 'dtype == "int16" && shape[2] > 100' \
      or 'attrs.suffix == "T1w"', or a list of ids. Voxels are never held.
      """,
    version: volpipeVersion)

  @Option(
    name: [.customShort("T", allowingJoined: true), .customLong("ids-from")],
    help: ArgumentHelp("Pass on the volumes whose ids are in FILE, one a line.", valueName: "file"))
  var idsFrom: String?

  @Flag(name: [.customShort("0"), .customLong("null")], help: "Ids in FILE end in NUL.")
  var null = false

  @Flag(name: [.customShort("v"), .long], help: "Pass on the others.")
  var invert = false

  @Argument(help: "The condition.")
  var expression: String?

  func validate() throws {
    guard (expression == nil) != (idsFrom == nil) else {
      throw ValidationError("one of an expression and --ids-from says what passes")
    }
    try requireLocal(idsFrom)
    if null, idsFrom == nil { throw ValidationError("--null is for --ids-from") }
    if let expression { _ = try parse(expression) }
  }

  func execute() throws -> ExitStatus {
    let input = try binaryInput()
    let output = try binaryOutput()
    var condition: (VolumeHeader) throws -> Bool = { _ in true }
    var missing: Set<ExactString> = []
    var unseen: Set<HeaderExpression.Key> = []
    var volumes = 0
    if let expression {
      let parsed = try parse(expression)
      unseen = parsed.keys
      condition = { header in
        volumes += 1
        unseen = HeaderExpression.lacking(unseen, header)
        return try parsed.holds(header)
      }
    } else if let idsFrom {
      let ids = try readIDs(idsFrom)
      missing = ids
      condition = { header in
        guard let id = header.obsID ?? header.name, ids.contains(id) else { return false }
        missing.remove(id)
        return true
      }
    }
    try pass(FrameReader(input), to: FrameWriter(output)) { try condition($0) != invert }
    try output.close()
    if volumes > 0 {
      for key in unseen.map(\.description).sorted() {
        Self.warn("warning: no header of the stream has '\(key)'")
      }
    }
    guard let first = missing.min() else { return .done }
    let more = missing.count > 1 ? " and \(missing.count - 1) others" : ""
    Self.warn("the stream holds no volume '\(first)'\(more)")
    return .partial
  }

  private func parse(_ text: String) throws -> HeaderExpression {
    do throws(HeaderExpression.SyntaxError) {
      return try HeaderExpression(text)
    } catch {
      throw ValidationError(
        "\(error.reason) at character \(error.offset + 1) of '\(bounded(text, 200))'")
    }
  }

  private func readIDs(_ path: String) throws -> Set<ExactString> {
    var lines = LineList(try InputFile(filePaths(of: [path])[0]), nulSeparated: null)
    var ids: Set<ExactString> = []
    while let line = try lines.next() {
      guard let id = ExactString(validating: line) else {
        throw FormatError(path, "an id is not in UTF-8")
      }
      ids.insert(id)
    }
    return ids
  }

  private func pass(
    _ reader: FrameReader, to writer: FrameWriter, _ passes: (VolumeHeader) throws -> Bool
  ) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var isPassing = false
    while let event = try reader.next() {
      switch event {
      case .open(let header):
        isPassing = try passes(header)
        // As it came: what is not known here may be known to others.
        if isPassing { try writer.open(header, json: reader.frameHeader) }
      case .extra:
        guard isPassing else { continue }
        try reader.readWholeBody().withUnsafeBytes { try writer.extra($0) }
      case .data:
        while isPassing, reader.bodyRemaining > 0 {
          let count = try reader.readBody(into: buffer)
          try writer.data(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
      case .close: if isPassing { try writer.close(json: reader.frameHeader) }
      case .drop(let reason): if isPassing { try writer.drop(reason: reason) }
      case .end(let skipped):
        try writer.end(skipped: skipped, others: try reader.endHeader())
      }
    }
  }

  static func main() { start() }
}

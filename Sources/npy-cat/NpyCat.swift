import ArgumentParser
import ByteIO
import NIfTI
import NumPy
import SystemPackage
import ToolSupport
import DatasetSupport
import Datasets
import Frames

@main
struct NpyCat: Tool {
  static let configuration = CommandConfiguration(
    commandName: "npy-cat",
    abstract: "Write NumPy arrays as a stream of volumes.",
    discussion: """
      Reads .npy files and the arrays of .npz files. The axes of an array are X, Y, Z and so on, \
      in whatever order its values lie in the file.
      """,
    version: volpipeVersion)

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Voxel index to RAS+ mm: 12 or 16 numbers, row by row, commas between.",
      valueName: "numbers"))
  var affine: String?

  @Option(
    help: ArgumentHelp(
      "Voxel spacing in mm along X, Y and Z, in place of an affine.",
      valueName: "x,y,z"))
  var spacing: String?

  @Option(
    help: ArgumentHelp(
      "Take affine, spacing and subject from the volume of the same name in DATASET; the first "
        + "operand is its collection.", valueName: "dataset[@n]"))
  var like: DatasetArgument?

  @Option(
    name: .customLong("as"),
    help: ArgumentHelp(
      "Make values of TYPE, such as uint8 or float32; one that it cannot hold is an error.",
      valueName: "type"))
  var type: DataType?

  @Option(
    help: ArgumentHelp("Of an archive, read the array NAME only.", valueName: "name"))
  var array: String?

  @Flag(help: "The axes are Z, Y, X: the last one is X.")
  var zyx = false

  @Option(
    name: .customLong("attr"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp("Give every volume an attribute; repeatable.", valueName: "key=value"))
  var attributes: [KeyValue] = []

  @Flag(name: .shortAndLong, help: "Report a bad file, go on with the next, and exit 1.")
  var keepGoing = false

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  @Argument(help: "Files; - reads one .npy from standard input. With --like, a collection first.")
  var path: [String]

  private var files: ArraySlice<String> { like == nil ? path[...] : path.dropFirst() }

  func validate() throws {
    try like?.requireLocal()
    guard !files.isEmpty else {
      throw ValidationError("--like takes a dataset, a collection and files")
    }
    if let type, [.complex64, .complex128].contains(type) {
      throw ValidationError("--as makes no complex numbers")
    }
    guard path.allSatisfy({ !$0.isEmpty }) else { throw ValidationError("a path is empty") }
    try requireStandardInputOnce(path)
    try requireLocal(path)
    guard [affine != nil, spacing != nil, like != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("--affine, --spacing and --like exclude each other")
    }
    _ = try matrix()
  }

  /// The affine that was asked for, 4x4.
  private func matrix() throws -> [[Double]]? {
    func numbers(_ text: String) -> [Double]? {
      let parts = text.split(separator: ",", omittingEmptySubsequences: false)
      let values = parts.compactMap { Double($0.trimmingPrefix(while: { $0 == " " })) }
      return values.count == parts.count && values.allSatisfy(\.isFinite) ? values : nil
    }
    if let affine {
      guard let values = numbers(affine), values.count == 12 || values.count == 16,
        values.count == 12 || Array(values[12...]) == [0, 0, 0, 1]
      else {
        throw ValidationError("--affine takes 12 numbers, or 16 of which the last are 0,0,0,1")
      }
      return (0..<3).map { Array(values[($0 * 4)..<($0 * 4 + 4)]) } + [[0, 0, 0, 1]]
    }
    guard let spacing else { return nil }
    guard let values = numbers(spacing), values.count == 3, values.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--spacing takes three numbers over 0")
    }
    return [[values[0], 0, 0, 0], [0, values[1], 0, 0], [0, 0, values[2], 0], [0, 0, 0, 1]]
  }

  func execute() throws -> ExitStatus {
    let output = try binaryOutput()
    let writer = FrameWriter(output)
    let progress = Progress(Self.toolName, quiet: quiet)
    let geometry = try likeness() ?? ArrayGeometry(affine: matrix())
    var skipped: UInt64 = 0
    for (path, file) in zip(files, filePaths(of: Array(files))) {
      do {
        try pass(path, file, geometry, to: writer, progress)
      } catch let error as FormatError where keepGoing {
        progress.clear()
        Self.warn(error.description)
        skipped += 1
      } catch let failure as IOFailure where keepGoing && failure.kind == .open {
        progress.clear()
        Self.warn(failure.description)
        skipped += 1
      }
    }
    try writer.end(skipped: skipped)
    try output.close()
    progress.finish()
    return skipped > 0 ? .partial : .done
  }

  private func pass(
    _ path: String, _ file: FilePath, _ geometry: ArrayGeometry, to writer: FrameWriter,
    _ progress: Progress
  ) throws {
    let stem = file.stem ?? path
    if StandardStream.isMeant(by: path) {
      let input = InputFile.standardInput
      let copy = try InputFile(copying: input, toScratchIn: temporaryDirectory())
      try pass(
        try NpyArray(copy, name: input.path, as: type), "stdin", geometry, to: writer, progress)
    } else if file.extension == "npz" {
      let archive = try NpzArchive(path)
      if let array, !archive.names.contains(array) {
        let names = bounded(archive.names.joined(separator: ", "), 500)
        throw FormatError(file.string, "it has no array '\(array)'; there is: \(names)")
      }
      for number in archive.names.indices where array.map({ $0 == archive.names[number] }) != false
      {
        // One array alone is known by its file, several also by their own names.
        let inner = archive.names[number].split(separator: "/").joined(separator: "_")
        let name = archive.names.count == 1 || array != nil ? stem : "\(stem)_\(inner)"
        try pass(
          try archive.array(number, scratchFolder: temporaryDirectory(), as: type), name, geometry,
          to: writer, progress)
      }
    } else {
      try pass(
        try NpyArray(try InputFile(file), name: file.string, as: type), stem, geometry, to: writer,
        progress)
    }
  }

  private func pass(
    _ array: NpyArray, _ name: String, _ geometry: ArrayGeometry, to writer: FrameWriter,
    _ progress: Progress
  ) throws {
    let voxels = VoxelOrder(array, isZYX: zyx)
    var header = VolumeHeader(name: ExactString(name), shape: voxels.shape, dtype: array.dtype)
    header.channels = array.channels
    header.obsSubjectID = SourceNaming.subject(named: name)
    header.attributes = BIDSName(name)?.attributes
    try geometry.give(to: &header)
    for attribute in attributes {
      header.attributes = header.attributes ?? JSONObject()
      header.attributes?[attribute.key] = .string(attribute.value)
    }
    try writer.open(header)
    try voxels.forEachPiece { try writer.data(UnsafeRawBufferPointer($0)) }
    try writer.close()
    progress.add(volumes: 1, bytes: header.byteCount)
  }

  /// The volumes that arrays are like, if there are any.
  private func likeness() throws -> ArrayGeometry? {
    guard let like, let collection = path.first.map({ ExactString($0) }) else { return nil }
    let snapshot = try like.openSnapshot(expecting: nil)
    try snapshot.requireCollection(collection)
    return ArrayGeometry(like: snapshot, collection)
  }

  static func main() { start() }
}

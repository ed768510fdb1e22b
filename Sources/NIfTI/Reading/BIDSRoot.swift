internal import ByteIO
internal import SystemPackage
internal import Frames

/// What a walk leaves out of a data set of the Brain Imaging Data Structure, which a
/// `dataset_description.json` in it tells: `derivatives` and `sourcedata`, which hold data sets of
/// their own, and what its `.bidsignore` names.
struct BIDSRoot {
  static let description = "dataset_description.json"
  private static let apart: Set<String> = ["derivatives", "sourcedata"]
  private static let maximumRules = 10_000

  /// The number of its folder in the walk.
  var depth: Int
  private var rules = PathRules()

  /// Reads the rules of the folder `path`.
  ///
  /// - Throws: `NIfTIError` for a rule that is none; `LineList.TooLong`; `IOFailure`.
  init(_ path: FilePath, depth: Int) throws {
    self.depth = depth
    let file = path.appending(".bidsignore")
    guard try FoundFile.status(of: file)?.kind == .file else { return }
    var lines = LineList(try FoundFile.open(file), nulSeparated: false)
    var count = 0
    while let line = try lines.next() {
      count += 1
      guard count <= Self.maximumRules else {
        throw NIfTIError(file.string, "it has over 10,000 lines")
      }
      do throws(Pattern.SyntaxError) {
        try rules.add(String(decoding: line, as: UTF8.self))
      } catch {
        throw NIfTIError(
          file.string,
          "'\(bounded(String(decoding: line, as: UTF8.self), 100))' "
            + "is no pattern: \(error.reason)")
      }
    }
  }

  /// Whether something is left out; `path` are the names that lead to it from the root's folder.
  func leavesOut(_ path: [String], isFolder: Bool) -> Bool {
    if path.count == 1, isFolder, Self.apart.contains(path[0]) { return true }
    return !rules.isEmpty && rules.leaveOut(path, isFolder: isFolder)
  }
}

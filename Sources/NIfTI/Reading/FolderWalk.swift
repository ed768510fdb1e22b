internal import ByteIO
internal import Glibc

/// Goes through files and folders and finds the volumes in them, one at a time.
///
/// A folder's names are taken sorted by their bytes, hidden ones left out; a pair comes once, at
/// the place of its header. Memory is that of the names in the folders that are open.
public struct FolderWalk {
  private struct Folder {
    var path: String
    var names: [String]
    var taken = 0
    /// As bytes: Swift's strings are equal in either spelling of Unicode.
    var all: Set<[UInt8]>
    var identity: [UInt64]
  }

  private var open: [Folder] = []
  private var start: String?
  private var foundAny = false
  private let root: String

  /// Begins at `path`, a file or a folder.
  public init(_ path: String) {
    root = path
    start = path
  }

  /// The next volume, or nil at the end.
  ///
  /// After an error the walk goes on behind what was at fault.
  ///
  /// - Throws: `NIfTIError` if one of a pair or all of a folder is missing; `IOFailure`.
  public mutating func next() throws -> SourcePath? {
    if let path = start {
      start = nil
      if path == "-" { return try SourcePath(path) }
      guard Self.identity(path)?.isFolder == true else { return try SourcePath(path) }
      try enter(path)
    }
    while let folder = open.last {
      guard folder.taken < folder.names.count else {
        open.removeLast()
        if open.isEmpty, !foundAny {
          throw NIfTIError(root, "there is no NIfTI file in this folder", kind: .missing)
        }
        continue
      }
      let name = folder.names[folder.taken]
      open[open.count - 1].taken += 1
      let path = folder.path.hasSuffix("/") ? folder.path + name : "\(folder.path)/\(name)"
      if Self.identity(path)?.isFolder == true {
        try enter(path)
      } else if SourcePath.isVolume(name), !Self.isCoveredByHeader(name, folder.all) {
        foundAny = true
        return try SourcePath(path)
      }
    }
    return nil
  }

  private mutating func enter(_ path: String) throws {
    // A link to a folder that is open already leads round in a circle.
    guard let identity = Self.identity(path)?.numbers,
      !open.contains(where: { $0.identity == identity })
    else { return }
    let names = try directoryEntries(path).filter { !$0.hasPrefix(".") }
    open.append(
      Folder(path: path, names: names, all: Set(names.map { Array($0.utf8) }), identity: identity))
  }

  /// Whether a voxels' file is in a folder with its header, and so comes with it.
  private static func isCoveredByHeader(_ name: String, _ names: Set<[UInt8]>) -> Bool {
    guard let stem = SourcePath.stem(name, SourcePath.imageSuffixes) else { return false }
    return SourcePath.headerSuffixes.flatMap(SourcePath.spellings).contains {
      names.contains(Array((stem + $0).utf8))
    }
  }

  private static func identity(_ path: String) -> (isFolder: Bool, numbers: [UInt64])? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return (status.st_mode & S_IFMT == S_IFDIR, [UInt64(status.st_dev), UInt64(status.st_ino)])
  }
}

internal import ByteIO
internal import Glibc
public import SystemPackage

/// Goes through files and folders and finds the volumes in them, one at a time.
///
/// A folder's names are taken sorted by their bytes, hidden ones left out; a pair comes once, at
/// the place of its header. Memory is that of the names in the folders that are open.
public struct FolderWalk {
  private struct Folder {
    var path: FilePath
    var names: [FilePath.Component]
    var taken = 0
    var all: Set<FilePath.Component>
    var identity: [UInt64]
    /// Whether a volume must be in it, and whether one was found.
    var mustHoldAny: Bool
    var holdsAny = false
  }

  private var open: [Folder] = []
  private var start: FilePath?

  /// Begins at `path`, a file or a folder.
  public init(_ path: FilePath) { start = path }

  /// The next volume, or nil at the end.
  ///
  /// After an error the walk goes on behind what was at fault.
  ///
  /// - Throws: `NIfTIError` if one of a pair is missing, or if there is no volume in a folder that
  ///   was named, or is named as a volume's file is; `IOFailure`.
  public mutating func next() throws -> SourcePath? {
    if let path = start {
      start = nil
      guard Self.identity(path)?.isFolder == true else { return try SourcePath(path) }
      try enter(path)
    }
    while let folder = open.last {
      guard folder.taken < folder.names.count else {
        open.removeLast()
        if folder.holdsAny {
          if !open.isEmpty { open[open.count - 1].holdsAny = true }
        } else if folder.mustHoldAny {
          // One fault is reported once.
          if !open.isEmpty { open[open.count - 1].holdsAny = true }
          throw NIfTIError(
            folder.path.string, "there is no NIfTI file in this folder", kind: .missing)
        }
        continue
      }
      let name = folder.names[folder.taken]
      open[open.count - 1].taken += 1
      let path = folder.path.appending(name)
      if Self.identity(path)?.isFolder == true {
        try enter(path)
      } else if let role = SourcePath.role(of: path) {
        if role == .image, Self.hasHeader(path, in: folder.all) { continue }
        open[open.count - 1].holdsAny = true
        return try SourcePath(path)
      }
    }
    return nil
  }

  private mutating func enter(_ path: FilePath) throws {
    // A link to a folder that is open already leads round in a circle.
    guard let identity = Self.identity(path)?.numbers,
      !open.contains(where: { $0.identity == identity })
    else { return }
    let names = try directoryEntries(path).filter { !$0.string.hasPrefix(".") }
    open.append(
      Folder(
        path: path, names: names, all: Set(names), identity: identity,
        mustHoldAny: open.isEmpty || SourcePath.role(of: path) != nil))
  }

  /// Whether a voxels' file is in a folder with its header, and so comes with it.
  private static func hasHeader(_ path: FilePath, in names: Set<FilePath.Component>) -> Bool {
    SourcePath.partners(of: path, "hdr").contains {
      $0.lastComponent.map(names.contains) == true
    }
  }

  private static func identity(_ path: FilePath) -> (isFolder: Bool, numbers: [UInt64])? {
    var status = stat()
    guard path.withPlatformString({ stat($0, &status) }) == 0 else { return nil }
    return (status.st_mode & S_IFMT == S_IFDIR, [UInt64(status.st_dev), UInt64(status.st_ino)])
  }
}

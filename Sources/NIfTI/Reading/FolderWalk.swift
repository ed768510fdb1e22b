internal import ByteIO
internal import SystemPackage
internal import Frames

/// The folders that a run has entered, each by the first path that led to it.
final class EnteredFolders {
  /// Whether a volume was found in each; false until it is left.
  fileprivate var holdAny: [FileIdentity: Bool] = [:]
}

/// Goes through files and folders and finds the volumes in them, one at a time.
///
/// A folder's names are taken sorted by their bytes, hidden ones left out, and those that a user or
/// a BIDS data set leaves out; a pair comes once, at the place of its header. Memory is that of the names in the folders that are open, and a few
/// bytes for each that was.
struct FolderWalk {
  private struct Folder {
    var path: FilePath
    var names: [FilePath.Component]
    var taken = 0
    var all: Set<FilePath.Component>
    var identity: FileIdentity
    /// Whether a volume must be in it, and whether one was found, or what may have been one.
    var mustHoldAny: Bool
    var holdsAny = false
  }

  private var open: [Folder] = []
  private var roots: [BIDSRoot] = []
  private var start: FilePath?
  private let excluded: PathRules
  /// What was not read.
  private(set) var tally = WalkTally()
  private let isOperand: Bool
  private let entered: EnteredFolders

  /// Begins at `path`, a file or a folder.
  ///
  /// - Parameters:
  ///   - path: what was given.
  ///   - isOperand: whether the user gave just this path, and must be told if it is no file.
  ///   - entered: the folders that are not entered again.
  ///   - excluded: what is left out below it.
  init(
    _ path: FilePath, isOperand: Bool, entered: EnteredFolders, excluded: PathRules = PathRules()
  ) {
    start = path
    self.isOperand = isOperand
    self.entered = entered
    self.excluded = excluded
  }

  /// The next volume, or nil at the end.
  ///
  /// After an error the walk goes on behind what was at fault.
  ///
  /// - Throws: `NIfTIError` if one of a pair is missing, if a file is absent, or if there is no
  ///   volume in a folder that was named, or is named as a volume's file is; `PassedOver` for what
  ///   is no file; `IOFailure`.
  mutating func next() throws -> SourcePath? {
    if let path = start {
      start = nil
      guard !StandardStream.isMeant(by: path), let status = try FoundFile.status(of: path),
        status.kind == .folder
      else { return try named(path) }
      try enter(path, status.identity)
    }
    while let folder = open.last {
      guard folder.taken < folder.names.count else {
        open.removeLast()
        if roots.last?.depth == open.count { roots.removeLast() }
        entered.holdAny[folder.identity] = folder.holdsAny
        guard folder.holdsAny || folder.mustHoldAny else { continue }
        // One fault is reported once.
        markLast()
        if folder.holdsAny { continue }
        throw NIfTIError(
          folder.path.string,
          "there is no NIfTI file in this folder" + (tally.others.map { ", but \($0)" } ?? ""),
          kind: .missing)
      }
      open[open.count - 1].taken += 1
      if let source = try found(folder.path.appending(folder.names[folder.taken]), in: folder) {
        return source
      }
    }
    return nil
  }

  /// The volume of a path that was given.
  private func named(_ path: FilePath) throws -> SourcePath {
    let source = try SourcePath(path)
    if source.isStandardInput || (isOperand && source.isPipeOfShell) { return source }
    do {
      try source.requireFiles()
    } catch let found as PassedOver where isOperand {
      throw NIfTIError(found.path, "it is \(found.what); - reads one file from standard input")
    }
    return source
  }

  /// The volume of a name in a folder; a folder of that name is entered.
  private mutating func found(_ path: FilePath, in folder: Folder) throws -> SourcePath? {
    let role = SourcePath.role(of: path)
    if role == .image, Self.hasHeader(path, in: folder.all) { return nil }
    let status: FileStatus?
    do {
      status = try FoundFile.status(of: path)
    } catch {
      if role == nil, let target = linkTarget(path), Self.isNamedAsFile(path) {
        // A sidecar is missed with its volume, if it is wanted.
        if path.extension == "json" { return nil }
        throw PassedOver(path, FoundFile.absence(of: target))
      }
      markLast()
      throw error
    }
    let isFolder = status?.kind == .folder
    if leavesOut(path, isFolder: isFolder) {
      if isFolder || role != nil { tally.leaveOut(path) }
      return nil
    }
    if let status, isFolder {
      try enter(path, status.identity)
      return nil
    }
    guard role != nil else {
      if let name = path.lastComponent { tally.passOver(name) }
      return nil
    }
    let source: SourcePath
    do {
      source = try SourcePath(path)
      try source.requireFiles()
    } catch let found as PassedOver {
      throw found
    } catch {
      markLast()
      throw error
    }
    markLast()
    return source
  }

  /// Whether a name that was found is left out: by the user, or by a BIDS data set it is in.
  private func leavesOut(_ path: FilePath, isFolder: Bool) -> Bool {
    func names(from depth: Int) -> [String] {
      (open.dropFirst(depth + 1).map(\.path) + [path]).compactMap { $0.lastComponent?.string }
    }
    if !excluded.isEmpty, excluded.leaveOut(names(from: 0), isFolder: isFolder) { return true }
    return roots.contains { $0.leavesOut(names(from: $0.depth), isFolder: isFolder) }
  }

  /// Notes that the folder which is being gone through is not empty.
  private mutating func markLast() {
    if !open.isEmpty { open[open.count - 1].holdsAny = true }
  }

  private mutating func enter(_ path: FilePath, _ identity: FileIdentity) throws {
    // Links may lead to a folder again, in a circle or in as many ways as there are sums of them.
    if let holdsAny = entered.holdAny[identity] {
      if holdsAny { markLast() }
      return
    }
    entered.holdAny[identity] = false
    let names = try directoryEntries(path).filter { name in
      name.withPlatformString { $0.pointee != CChar(bitPattern: UInt8(ascii: ".")) }
    }
    if names.contains(where: { $0.string == BIDSRoot.description }) {
      roots.append(try BIDSRoot(path, depth: open.count))
    }
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

  /// Whether a name that leads to nothing is hardly that of a folder, which scans could be in.
  private static func isNamedAsFile(_ path: FilePath) -> Bool {
    guard let first = path.extension?.utf8.first else { return false }
    return (0x41...0x5A).contains(first) || (0x61...0x7A).contains(first)
  }
}

public import SystemPackage
public import Frames

/// The volumes that a user names: by paths on the command line and in a list, or by a table.
public final class SourceList {
  private var paths: ArraySlice<FilePath> = []
  private var list: PathList?
  private var table: SourceTable?
  private var walk: FolderWalk?
  private let entered = EnteredFolders()
  private let standardInput: FilePath?
  private let excluded: PathRules
  /// What the walks that have ended did not read.
  public private(set) var tally = WalkTally()
  private var last: FilePath?

  /// Goes through paths.
  ///
  /// - Parameters:
  ///   - paths: come first.
  ///   - list: has those that follow.
  ///   - excluded: what is left out of folders.
  ///   - standardInput: the path by which that is to be known.
  public init(
    _ paths: [FilePath], list: PathList?, excluded: PathRules = PathRules(),
    standardInput: FilePath? = nil
  ) {
    self.paths = paths[...]
    self.list = list
    self.excluded = excluded
    self.standardInput = standardInput
  }

  /// Goes through a table.
  public init(_ table: SourceTable) {
    self.table = table
    standardInput = nil
    excluded = PathRules()
  }

  /// The next volume, or nil at the end; after an error, it goes on behind what was at fault.
  ///
  /// Whatever leads to a folder, it is gone through once.
  ///
  /// - Throws: `PassedOver` for what is no file; `NIfTIError`, `FormatError`, `IOFailure`.
  public func next() throws -> VolumeSource? {
    if table != nil { return try table?.next() }
    while true {
      if var files = try walk?.next() {
        if files.isStandardInput { files.alias = standardInput }
        // Both files of a pair may be named, as by a shell's `*`.
        if files.image != nil, files.header == last { continue }
        last = files.header
        return VolumeSource(files)
      }
      if let walk { tally.merge(walk.tally) }
      walk = nil
      if let path = paths.popFirst() {
        walk = FolderWalk(path, isOperand: true, entered: entered, excluded: excluded)
      } else if let path = try nextOfList() {
        walk = FolderWalk(path, isOperand: false, entered: entered, excluded: excluded)
      } else {
        return nil
      }
    }
  }

  /// The next path of the list, which is not gone on with after an error of its own.
  private func nextOfList() throws -> FilePath? {
    do {
      return try list?.next()
    } catch {
      list = nil
      throw error
    }
  }
}

package import ByteIO
internal import Frames
internal import SystemPackage

/// A store in a directory, whose folders are held open: no link that somebody puts into it, before or
/// while it is used, leads anywhere.
///
/// A name that begins with a dot is that of a file which is being written, or was when its writer
/// died.
package final class DirectoryStore: Store {
  package let location: String
  private let root: any Folder
  private let known: [String]
  private let monitor = Monitor()
  /// The folders that are open; guarded by `monitor`.
  nonisolated(unsafe) private var folders: [String: any Folder] = [:]

  /// Opens the directory `path`.
  ///
  /// - Parameters:
  ///   - path: the directory, to which a link may lead.
  ///   - folders: all folders that it may have.
  ///   - files: names beside them that are looked at, too.
  /// - Throws: `FormatError` if one of them is a link; `IOFailure` if there is no such directory.
  package convenience init(_ path: String, folders: [String], files: [String]) throws {
    try self.init(path, try Directory(path), folders: folders, files: files)
  }

  /// The same on a folder that is open already.
  ///
  /// - Throws: `FormatError` if one of them is a link; what `root` throws.
  package init(_ location: String, _ root: any Folder, folders: [String], files: [String]) throws {
    self.location = location
    self.root = root
    known = folders
    for name in folders + files where try root.status(name)?.kind == .link { throw isLink(name) }
  }

  // MARK: Reading

  package func read(_ name: ObjectName, maximum: Int) throws -> [UInt8]? {
    let opened = Result { try input(name) }
    if case .failure(let failure as IOFailure) = opened, failure.isNotFound { return nil }
    let (file, size) = try opened.get()
    guard size <= UInt64(maximum) else {
      throw FormatError(file.path, "it is over \(maximum) bytes long")
    }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = try bytes.withUnsafeMutableBytes { try file.take(at: 0, into: $0) }
    return Array(bytes[..<count])
  }

  package func open(_ name: ObjectName, bytes: UInt64?) throws -> any ObjectReader {
    let (file, size) = try input(name)
    guard size == bytes ?? size else {
      throw FormatError(file.path, "its size is not \(bytes ?? 0) bytes, as recorded")
    }
    return DirectoryReader(file, size)
  }

  private func input(_ name: ObjectName) throws -> (file: any FolderInput, size: UInt64) {
    guard let folder = try folder(name.folder) else {
      throw IOFailure(.open, "open", place(name.path), .noSuchFileOrDirectory)
    }
    let file: any FolderInput
    do {
      file = try folder.reader(name.file)
    } catch let failure as IOFailure where failure.errno == .tooManySymbolicLinkLevels {
      throw isLink(name.path)
    }
    guard let size = try file.size() else { throw FormatError(file.path, "not a regular file") }
    return (file, size)
  }

  // MARK: Listing

  package func names(in folder: String?) throws -> [String] {
    try self.folder(folder)?.names().filter { !$0.hasPrefix(".") } ?? []
  }

  package func list(_ folder: String?) throws -> [StoredObject] {
    try entries(of: folder).filter { !$0.name.file.hasPrefix(".") }
  }

  private func entries(of folder: String?) throws -> [StoredObject] {
    guard let place = try self.folder(folder) else { return [] }
    return try place.names().compactMap { name in
      guard let status = try place.status(name), status.kind == .file else { return nil }
      return StoredObject(
        name: ObjectName(unchecked: folder, name), bytes: status.size, modified: status.modified)
    }
  }

  // MARK: Writing

  package func prepare(_ folders: [String]) throws {
    for folder in folders { _ = try folderForWriting(folder) }
  }

  package func write(_ name: ObjectName) throws -> any ObjectWriter {
    let folder = try folderForWriting(name.folder)
    return DirectoryWriter(try folder.writer(name.file), name.file, in: folder)
  }

  package func create(_ name: ObjectName, _ bytes: [UInt8]) throws -> Creation {
    let folder = try folderForWriting(name.folder)
    let temporary = try stage(in: folder) { file in
      try bytes.withUnsafeBytes { try file.add($0) }
      try file.seal()
    }
    let isMade = Result { try folder.claim(name.file, with: temporary) }
    try? folder.remove(temporary)
    guard try isMade.get() else { return .exists }
    do {
      try folder.sync()
      return .made
    } catch {
      return .unflushed(error)
    }
  }

  package func canCreate(in folder: String?) throws -> Bool {
    try folderForWriting(folder).canClaim()
  }

  package func replace(_ name: ObjectName, _ bytes: [UInt8]) throws {
    let folder = try folderForWriting(name.folder)
    try put(as: name.file, in: folder) { file in
      try bytes.withUnsafeBytes { try file.add($0) }
      try file.seal()
    }
    try folder.sync()
  }

  package func replace(_ name: ObjectName, with source: any ObjectReader) throws {
    let folder = try folderForWriting(name.folder)
    try put(as: name.file, in: folder) { file in
      try source.forEachPart { try file.add($0) }
      try file.seal()
    }
    try folder.sync()
  }

  package func touch(_ name: ObjectName, _ bytes: [UInt8]) throws {
    try put(as: name.file, in: try folderForWriting(name.folder)) { file in
      try bytes.withUnsafeBytes { try file.add($0) }
      try file.shut()
    }
  }

  private func put(
    as name: String, in folder: any Folder, _ write: (any FolderOutput) throws -> Void
  ) throws {
    let temporary = try stage(in: folder, write)
    do {
      try folder.rename(temporary, to: name)
    } catch {
      try? folder.remove(temporary)
      throw error
    }
  }

  package func remove(_ names: [ObjectName]) throws {
    var failure: (any Error)?
    for name in names {
      do {
        try folder(name.folder)?.remove(name.file)
      } catch {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
  }

  package func flushRemovals(in folder: String) throws { try self.folder(folder)?.sync() }

  /// Writes a file under a name of its own, to get another; nothing is left there on failure.
  private func stage(
    in folder: any Folder, _ write: (any FolderOutput) throws -> Void
  ) throws -> String {
    let temporary = ".volpipe-\(randomIdentifier())"
    let file = try folder.writer(temporary)
    do {
      try write(file)
      return temporary
    } catch {
      try? folder.remove(temporary)
      throw error
    }
  }

  // MARK: Housekeeping

  package func unfinished(before: Double) throws -> [StoredObject] {
    try ([nil] + known).flatMap { folder in
      try entries(of: folder).filter { Self.isTemporary($0.name.file) && $0.modified < before }
    }
  }

  /// Whether a name is one that a writer draws for a file which is to get another: a dot, perhaps
  /// words with a hyphen behind each, and 32 hexadecimal digits, or twice as many with a hyphen between.
  ///
  /// Other names with a dot are somebody else's, as a file manager's.
  private static func isTemporary(_ name: String) -> Bool {
    guard name.hasPrefix(".") else { return false }
    let parts = name.dropFirst().split(separator: "-", omittingEmptySubsequences: false)
    let ids = parts.reversed().prefix { Names.isHexadecimal(String($0), count: 32) }.count
    return (1...2).contains(ids)
      && parts.dropLast(ids).allSatisfy { ["HEAD", "volpipe"].contains(String($0)) }
  }

  /// The time at which the file system dates a file that is made now.
  package func now() throws -> Double {
    let name = ".volpipe-\(randomIdentifier())"
    do {
      try root.writer(name).shut()
    } catch let failure as IOFailure
      where [.permissionDenied, .readOnlyFileSystem].contains(failure.errno)
    {
      // Who may not write here removes nothing either; it only wants to know.
      return Clock.now()
    }
    let status = try root.status(name)
    try root.remove(name)
    return status?.modified ?? Clock.now()
  }

  package func scratch() throws -> OutputFile? { try root.scratchFile() }

  // MARK: Folders

  private func place(_ path: String) -> String { root.place(path) }

  private func isLink(_ path: String) -> FormatError {
    FormatError(place(path), "it is a symbolic link, which no part of a dataset may be")
  }

  /// An open folder; nil if it is not there.
  private func folder(_ name: String?) throws -> (any Folder)? {
    guard let name else { return root }
    return try monitor.update {
      if let open = folders[name] { return open }
      do {
        let opened = try root.folder(name)
        folders[name] = opened
        return opened
      } catch let failure as IOFailure {
        if failure.isNotFound { return nil }
        // The system says either of a link where a folder should be.
        if [.tooManySymbolicLinkLevels, .notDirectory].contains(failure.errno),
          try root.status(name)?.kind == .link
        {
          throw isLink(name)
        }
        throw failure
      }
    }
  }

  private func folderForWriting(_ name: String?) throws -> any Folder {
    if let open = try folder(name) { return open }
    let name = name ?? ""
    _ = try root.makeDirectory(name)
    guard let made = try folder(name) else {
      throw IOFailure(.create, "create directory", place(name), .noSuchFileOrDirectory)
    }
    return made
  }
}

/// A file of a directory store.
private final class DirectoryReader: ObjectReader {
  private let file: any FolderInput
  let bytes: UInt64

  init(_ file: any FolderInput, _ bytes: UInt64) {
    self.file = file
    self.bytes = bytes
  }

  var path: String { file.path }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try file.take(at: offset, into: buffer)
  }

  func copy(_ count: UInt64, at offset: UInt64, to file: OutputFile) throws {
    try self.file.copy(count, at: offset, to: file)
  }
}

/// A file of a directory store that is being written under its own name.
private final class DirectoryWriter: ObjectWriter {
  private let file: any FolderOutput
  private let name: String
  private let folder: any Folder
  private(set) var offset: UInt64 = 0

  init(_ file: any FolderOutput, _ name: String, in folder: any Folder) {
    self.file = file
    self.name = name
    self.folder = folder
  }

  var path: String { folder.place(name) }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    try file.add(bytes)
    offset += UInt64(bytes.count)
  }

  func takeBack(to offset: UInt64) throws -> Bool {
    try file.cut(to: offset)
    self.offset = offset
    return true
  }

  func reader() throws -> (any ObjectReader)? {
    DirectoryReader(try folder.reader(name), offset)
  }

  func finish() throws {
    try file.seal()
    try folder.sync()
  }

  func abort() { try? folder.remove(name) }
}

import CLinux
import Glibc
import SystemPackage

/// A folder that is held open: names are looked up in this very folder, whatever its own name leads
/// to by now, and never through a symbolic link.
///
/// openat(2) and its kin, with `O_NOFOLLOW`
public final class Directory: @unchecked Sendable {
  /// The path by which it was opened, for messages.
  public let path: String
  private let descriptor: FileDescriptor

  /// Opens the folder `path`; a link may lead to it.
  ///
  /// - Throws: `IOFailure`.
  public init(_ path: String) throws(IOFailure) {
    self.path = path
    descriptor = try retrying(.open, "open directory", path) {
      try FileDescriptor.open(
        FilePath(path), .readOnly, options: [.closeOnExec, .directory])
    }
  }

  /// Opens the folder `name` in `parent`.
  ///
  /// - Throws: `IOFailure`; `isNotFound` if there is none, `ELOOP` or `ENOTDIR` if it is a link.
  public init(_ name: String, in parent: Directory) throws(IOFailure) {
    path = parent.place(name)
    descriptor = try retrying(.open, "open directory", path) {
      try Self.open(name, in: parent, O_RDONLY | O_DIRECTORY)
    }
  }

  deinit { try? descriptor.close() }

  /// What to call `name` in a message.
  public func place(_ name: String) -> String { path == "." ? name : "\(path)/\(name)" }

  // MARK: Looking

  /// The names in it, sorted by their bytes, without `.` and `..`.
  ///
  /// - Throws: `IOFailure`.
  public func names() throws(IOFailure) -> [String] {
    // A stream of its own, since its place would be shared with all others of this descriptor.
    let copy = try retrying(.open, "open directory", path) {
      try Self.open(".", in: self, O_RDONLY | O_DIRECTORY)
    }
    return try directoryEntries(copy, path).map(\.string)
  }

  /// What has the name `name`; nil if there is nothing.
  ///
  /// - Throws: `IOFailure`.
  public func status(_ name: String) throws(IOFailure) -> FileStatus? {
    var status = stat()
    guard fstatat(descriptor.rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return nil }
      throw IOFailure(.open, "open", place(name), Errno(rawValue: errno))
    }
    return FileStatus(status)
  }

  /// Opens a file for reading.
  ///
  /// - Throws: `IOFailure`, with `ELOOP` if it is a link.
  public func open(_ name: String) throws(IOFailure) -> InputFile {
    let path = place(name)
    let opened = try retrying(.open, "open", path) {
      try Self.open(name, in: self, O_RDONLY | O_NONBLOCK)
    }
    return InputFile(owning: opened, path)
  }

  // MARK: Changing

  /// Makes the folder `name`, and its name lasting.
  ///
  /// - Returns: false if something has the name.
  /// - Throws: `IOFailure`.
  public func makeDirectory(_ name: String) throws(IOFailure) -> Bool {
    guard mkdirat(descriptor.rawValue, name, 0o777) == 0 else {
      if errno == EEXIST { return false }
      throw IOFailure(.create, "create directory", place(name), Errno(rawValue: errno))
    }
    try sync()
    return true
  }

  /// Creates a file, which must not exist.
  ///
  /// - Throws: `IOFailure`.
  public func create(_ name: String) throws(IOFailure) -> OutputFile {
    let path = place(name)
    let created = try retrying(.create, "create", path) {
      try Self.open(name, in: self, O_WRONLY | O_CREAT | O_EXCL)
    }
    return OutputFile(owning: created, path)
  }

  /// Makes a scratch file in it, as `OutputFile(scratchIn:)` does.
  ///
  /// - Throws: `IOFailure` that names the folder.
  public func scratch() throws(IOFailure) -> OutputFile {
    OutputFile(owning: try scratchDescriptor(), "a scratch file in \(path)")
  }

  func scratchDescriptor() throws(IOFailure) -> FileDescriptor {
    let path = "a scratch file in \(self.path)"
    let unnamed = volpipe_open_unnamed_at(descriptor.rawValue)
    if unnamed >= 0 { return FileDescriptor(rawValue: unnamed) }
    let reason = Errno(rawValue: errno)
    guard [.notSupported, .isDirectory, .invalidArgument].contains(reason) else {
      throw IOFailure(.create, "create", path, reason)
    }
    let name = ".volpipe-\(randomIdentifier())"
    let named = try retrying(.create, "create", path) {
      try Self.open(name, in: self, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
    }
    do throws(IOFailure) {
      try remove(name)
    } catch {
      try? named.close()
      throw error
    }
    return named
  }

  /// Writes `bytes` to a new file and flushes them; nothing is left there on failure.
  ///
  /// - Throws: `IOFailure`.
  public func write(_ bytes: [UInt8], to name: String) throws(IOFailure) {
    let file = try create(name)
    do throws(IOFailure) {
      try file.write(bytes)
      try file.sync()
      try file.close()
    } catch {
      try? remove(name)
      throw error
    }
  }

  /// Gives the flushed file `temporary` the name `name`, replacing what is there; to be flushed.
  ///
  /// - Throws: `IOFailure`.
  public func rename(_ temporary: String, to name: String) throws(IOFailure) {
    guard renameat(descriptor.rawValue, temporary, descriptor.rawValue, name) == 0 else {
      throw IOFailure(
        .create, "rename '\(place(temporary))' to", place(name), Errno(rawValue: errno))
    }
  }

  /// Gives the flushed file `temporary` the name `name` in one step if nothing has it; to be
  /// flushed.
  ///
  /// link(2); where there are no hard links, renameat2(2) with `RENAME_NOREPLACE`.
  ///
  /// - Returns: false if the name is taken; `temporary` may be there still.
  /// - Throws: `IOFailure`, of which `isNoSuchStep` is true where the file system has none.
  public func claim(_ name: String, with temporary: String) throws(IOFailure) -> Bool {
    let folder = descriptor.rawValue
    if linkat(folder, temporary, folder, name, 0) == 0 { return true }
    let reason = errno
    // Over NFS the reply to a link that was made may be lost, and its retry then fails: what
    // counts is whether both names are one file.
    if let one = try? status(temporary), let other = try? status(name),
      one.identity == other.identity
    {
      return true
    }
    switch reason {
    case EEXIST: return false
    case EPERM, EOPNOTSUPP, ENOSYS, EMLINK:
      if volpipe_rename_new(folder, temporary, name) == 0 { return true }
      switch errno {
      case EEXIST: return false
      // It does not say so if only one of the two is missing.
      case EINVAL, ENOSYS, EOPNOTSUPP: break
      default:
        throw IOFailure(
          .create, "rename '\(place(temporary))' to", place(name), Errno(rawValue: errno))
      }
    default: break
    }
    throw IOFailure(.create, "link", place(name), Errno(rawValue: reason))
  }

  /// Whether files in it can get names that nothing has, in one step.
  ///
  /// - Throws: `IOFailure` for other failures.
  public func canClaim() throws(IOFailure) -> Bool {
    let temporary = ".volpipe-\(randomIdentifier())"
    let name = ".volpipe-\(randomIdentifier())"
    try create(temporary).close()
    let result = Result { () throws(IOFailure) in try claim(name, with: temporary) }
    try? remove(temporary)
    try? remove(name)
    if case .failure(let failure) = result, failure.isNoSuchStep { return false }
    return try result.get()
  }

  /// Removes a file; one that is not there is no failure.
  ///
  /// - Throws: `IOFailure`.
  public func remove(_ name: String) throws(IOFailure) {
    if unlinkat(descriptor.rawValue, name, 0) != 0, errno != ENOENT {
      throw IOFailure(.transfer, "remove", place(name), Errno(rawValue: errno))
    }
  }

  /// Flushes the names in it to disk.
  ///
  /// - Throws: `IOFailure`.
  public func sync() throws(IOFailure) {
    // Some file systems cannot flush a directory and say so.
    if fsync(descriptor.rawValue) != 0, errno != EINVAL {
      throw IOFailure(.transfer, "flush directory", path, Errno(rawValue: errno))
    }
  }

  private static func open(
    _ name: String, in parent: Directory, _ flags: Int32, mode: mode_t = 0o666
  ) throws -> FileDescriptor {
    let opened = volpipe_open_at(
      parent.descriptor.rawValue, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
    if opened < 0 { throw Errno(rawValue: errno) }
    return FileDescriptor(rawValue: opened)
  }
}

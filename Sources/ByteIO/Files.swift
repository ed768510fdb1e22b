import CLinux
import Glibc
public import SystemPackage

/// A file open for reading, at its own position or at a given one.
public final class InputFile: @unchecked Sendable {
  /// Its path, or a name such as `standard input`.
  public let path: String
  private let descriptor: FileDescriptor
  private let owned: Bool

  /// Opens `path`; where it is a named pipe, its writer is awaited if `waiting`.
  ///
  /// - Throws: `IOFailure`.
  public convenience init(_ path: String, waiting: Bool = true) throws(IOFailure) {
    try self.init(FilePath(path), waiting: waiting)
  }

  /// Opens `path`; where it is a named pipe, its writer is awaited if `waiting`.
  ///
  /// - Throws: `IOFailure`.
  public init(_ path: FilePath, waiting: Bool = true) throws(IOFailure) {
    self.path = path.string
    owned = true
    descriptor = try retrying(.open, "open", path.string) {
      try FileDescriptor.open(
        path, .readOnly, options: waiting ? .closeOnExec : [.closeOnExec, .nonBlocking])
    }
  }

  /// Takes over a descriptor.
  init(owning descriptor: FileDescriptor, _ path: String) {
    self.path = path
    self.descriptor = descriptor
    owned = true
  }

  /// Reads what was written to a scratch file, at its own position from the beginning.
  ///
  /// - Throws: `IOFailure`.
  public init(reading file: OutputFile) throws(IOFailure) {
    path = file.path
    owned = true
    descriptor = try retrying(.transfer, "read", file.path) {
      let copy = fcntl(file.rawDescriptor, F_DUPFD_CLOEXEC, 3)
      if copy < 0 { throw Errno(rawValue: errno) }
      let descriptor = FileDescriptor(rawValue: copy)
      try descriptor.seek(offset: 0, from: .start)
      return descriptor
    }
  }

  /// Copies all that comes from `input` to a scratch file in `folder`, where it can be read at any
  /// place.
  ///
  /// - Throws: `IOFailure`, of `input` or of the scratch file.
  public convenience init(
    copying input: InputFile, toScratchIn folder: String
  ) throws(IOFailure) {
    let file = try OutputFile(scratchIn: folder)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while case let count = try input.read(into: buffer), count > 0 {
      try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
    try self.init(reading: file)
  }

  /// Takes a descriptor that is open already and stays so, such as 0.
  public init(borrowing descriptor: Int32, name: String) {
    path = name
    owned = false
    self.descriptor = FileDescriptor(rawValue: descriptor)
  }

  deinit {
    if owned { try? descriptor.close() }
  }

  /// Reads up to `buffer.count` bytes at the file's own position; 0 at its end.
  ///
  /// - Throws: `IOFailure`.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(IOFailure) -> Int {
    try retrying(
      .transfer, "read", path, awaiting: Awaited(descriptor: descriptor, isInput: true)
    ) { try descriptor.read(into: buffer) }
  }

  /// Fills `buffer` from byte `offset` of the file on.
  ///
  /// - Returns: how many bytes were read, less than `buffer.count` only at the file's end.
  /// - Throws: `IOFailure`.
  public func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(IOFailure) -> Int {
    guard let start = Int64(exactly: offset) else { return 0 }
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let position = start + Int64(filled)
      let count = try retrying(.transfer, "read", path) {
        try descriptor.read(fromAbsoluteOffset: position, into: rest)
      }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// For calls on two files.
  var rawDescriptor: Int32 { descriptor.rawValue }

  /// Its size in bytes if it is a regular file.
  ///
  /// - Throws: `IOFailure`.
  public func size() throws(IOFailure) -> UInt64? {
    let status = try status()
    return status.kind == .file ? status.size : nil
  }

  /// What was opened, whatever its name stands for by now.
  ///
  /// - Throws: `IOFailure`.
  public func status() throws(IOFailure) -> FileStatus {
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0 else {
      throw IOFailure(.transfer, "stat", path, Errno(rawValue: errno))
    }
    return FileStatus(status)
  }

  /// Whether this is a terminal.
  public var isTerminal: Bool { isatty(descriptor.rawValue) == 1 }

  /// Asks for a pipe as large as a data frame, where this is a pipe; nothing if it is refused.
  public func widenPipe() { widen(descriptor) }
}

/// A file being written, in which every write, flush and close is checked.
///
/// Where the reader of a pipe has gone away, the process dies of SIGPIPE, silently.
public final class OutputFile: @unchecked Sendable {
  /// Its path, or a name such as `standard output`.
  public let path: String
  private let descriptor: FileDescriptor
  private var isOpen = true

  /// Creates `path`, which must not exist.
  ///
  /// - Throws: `IOFailure`, with `fileExists` if it does.
  public init(creating path: String) throws(IOFailure) {
    self.path = path
    descriptor = try retrying(.create, "create", path) {
      try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
        permissions: [.ownerReadWrite, .groupReadWrite, .otherReadWrite])
    }
  }

  /// Makes a scratch file in `folder`, to be written and read by this process alone: it has no name,
  /// and is gone with the process.
  ///
  /// Where the file system has no such files, it has a random name for a moment, and nobody else
  /// may open it.
  ///
  /// - Throws: `IOFailure` that names the folder.
  public init(scratchIn folder: String) throws(IOFailure) {
    path = "a scratch file in \(folder)"
    descriptor = try Directory(folder).scratchDescriptor()
  }

  /// Takes over a descriptor.
  init(owning descriptor: FileDescriptor, _ path: String) {
    self.path = path
    self.descriptor = descriptor
  }

  /// Takes a descriptor that is open already, such as 1.
  public init(borrowing descriptor: Int32, name: String) {
    path = name
    self.descriptor = FileDescriptor(rawValue: descriptor)
  }

  deinit {
    if isOpen, descriptor.rawValue > 2 { try? descriptor.close() }
  }

  /// For calls on two files.
  var rawDescriptor: Int32 { descriptor.rawValue }

  /// Writes all of `bytes`.
  ///
  /// - Throws: `IOFailure`.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(IOFailure) {
    var rest = bytes
    while !rest.isEmpty {
      let count = try writing { try descriptor.write(rest) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Writes all of `bytes`.
  ///
  /// - Throws: `IOFailure`.
  public func write(_ bytes: [UInt8]) throws(IOFailure) {
    // withUnsafeBytes forgets the type of what its closure throws.
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(IOFailure) in try write(bytes) }
    }
    try result.get()
  }

  /// Writes `first`, then `second`, in one call where the system takes both.
  ///
  /// - Throws: `IOFailure`.
  public func write(
    _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
  ) throws(IOFailure) {
    var parts = [
      iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count),
      iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count),
    ]
    let count = try writing {
      let result = writev(descriptor.rawValue, &parts, 2)
      if result < 0 { throw Errno(rawValue: errno) }
      return result
    }
    if count < first.count {
      try write(UnsafeRawBufferPointer(rebasing: first[count...]))
      try write(second)
    } else {
      try write(UnsafeRawBufferPointer(rebasing: second[(count - first.count)...]))
    }
  }

  /// Writes all of `bytes` from byte `offset` of the file on.
  ///
  /// - Throws: `IOFailure`.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(IOFailure) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let position = Int64(offset) + Int64(done)
      done += try writing { try descriptor.writeAll(toAbsoluteOffset: position, rest) }
    }
  }

  /// Fills `buffer` from byte `offset` of the file on; bytes that were never written are zero.
  ///
  /// - Throws: `IOFailure`.
  public func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(IOFailure) {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let position = Int64(offset) + Int64(filled)
      let count = try retrying(.transfer, "read", path) {
        try descriptor.read(fromAbsoluteOffset: position, into: rest)
      }
      if count == 0 {
        rest.initializeMemory(as: UInt8.self, repeating: 0)
        break
      }
      filled += count
    }
  }

  /// Appends `count` bytes of another file from byte `offset` on; where the file system can, they
  /// are shared and not copied.
  ///
  /// - Throws: `IOFailure`, also where `source` has fewer.
  public func copy(
    _ count: UInt64, from source: InputFile, at offset: UInt64
  ) throws(IOFailure) {
    var left = count
    var place = Int64(offset)
    while left > 0 {
      let done = volpipe_copy_range(
        source.rawDescriptor, &place, descriptor.rawValue, Int(min(left, 1 << 30)))
      if done == 0 { throw IOFailure(.transfer, "read to its end", source.path, .ioError) }
      if done > 0 {
        left -= UInt64(done)
        continue
      }
      switch errno {
      case EINTR: continue
      case EXDEV, ENOSYS, EINVAL, EOPNOTSUPP:
        return try copyPlainly(left, from: source, at: UInt64(place))
      default: throw IOFailure(.transfer, "copy to", path, Errno(rawValue: errno))
      }
    }
  }

  private func copyPlainly(
    _ count: UInt64, from source: InputFile, at offset: UInt64
  ) throws(IOFailure) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var done: UInt64 = 0
    while done < count {
      let wanted = Int(min(count - done, UInt64(buffer.count)))
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
      guard try source.read(at: offset + done, into: part) == wanted else {
        throw IOFailure(.transfer, "read to its end", source.path, .ioError)
      }
      try write(UnsafeRawBufferPointer(part))
      done += UInt64(wanted)
    }
  }

  /// Cuts the file to `size` bytes and goes on writing there.
  ///
  /// - Throws: `IOFailure`.
  public func truncate(to size: UInt64) throws(IOFailure) {
    try retrying(.transfer, "truncate", path) {
      if ftruncate(descriptor.rawValue, Int(size)) != 0 { throw Errno(rawValue: errno) }
      try descriptor.seek(offset: Int64(size), from: .start)
    }
  }

  /// Flushes the file to disk.
  ///
  /// - Throws: `IOFailure`.
  public func sync() throws(IOFailure) {
    try retrying(.transfer, "flush", path) {
      if fsync(descriptor.rawValue) != 0 { throw Errno(rawValue: errno) }
    }
  }

  /// Closes the file, where the last write errors of network file systems come out.
  ///
  /// - Throws: `IOFailure`; the file is closed all the same.
  public func close() throws(IOFailure) {
    guard isOpen else { return }
    isOpen = false
    do {
      try descriptor.close()
    } catch let errno as Errno {
      throw IOFailure(.transfer, "close", path, errno)
    } catch {
      throw IOFailure(.transfer, "close", path, .ioError)
    }
  }

  /// Whether this is a terminal.
  public var isTerminal: Bool { isatty(descriptor.rawValue) == 1 }

  /// Asks for a pipe as large as a data frame, where this is a pipe; nothing if it is refused.
  public func widenPipe() { widen(descriptor) }

  private func writing<T>(_ body: () throws -> T) throws(IOFailure) -> T {
    do {
      return try retrying(
        .transfer, "write", path, awaiting: Awaited(descriptor: descriptor, isInput: false), body)
    } catch {
      if error.errno == .brokenPipe {
        // The parent may have had SIGPIPE ignored.
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
      }
      throw error
    }
  }
}

/// Has pieces of memory of 1 MiB or more go back to the system as soon as they are freed; to be
/// called before there are threads.
///
/// By default the allocator learns from the first large piece to keep others, up to 64 MiB a thread.
///
/// mallopt(3)
public func returnFreedMemory() { volpipe_set_mmap_threshold(1 << 20) }

private func widen(_ descriptor: FileDescriptor) {
  volpipe_set_pipe_size(descriptor.rawValue, 1 << 20)
}

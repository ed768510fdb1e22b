import CLinux
import Glibc
public import SystemPackage

/// The steps by which a file appears whole or not at all.
public enum Publishing {
  /// Makes the directory `path` if it does not exist; its parent must.
  ///
  /// - Throws: `IOFailure`.
  public static func makeDirectory(_ path: String) throws(IOFailure) {
    _ = try makeNewDirectory(path)
  }

  /// Makes the directory `path`; its parent must exist.
  ///
  /// - Returns: false if something has the name.
  /// - Throws: `IOFailure`.
  public static func makeNewDirectory(_ path: String) throws(IOFailure) -> Bool {
    guard mkdir(path, 0o777) == 0 else {
      if errno == EEXIST { return false }
      throw IOFailure(.create, "create directory", path, Errno(rawValue: errno))
    }
    try syncDirectory(parent(of: path))
    return true
  }

  /// Makes the directory `path` and those above it that do not exist.
  ///
  /// - Throws: `IOFailure`.
  public static func makeDirectories(_ path: String) throws(IOFailure) {
    var prefix = FilePath(path)
    var missing: [String] = []
    while !prefix.isEmpty, access(prefix.string, F_OK) != 0 {
      missing.append(prefix.string)
      prefix.removeLastComponent()
    }
    for directory in missing.reversed() { try makeDirectory(directory) }
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
      throw IOFailure(.create, "create directory", path, .fileExists)
    }
  }

  /// Writes `bytes` to `path` and flushes them; nothing is left there on failure.
  ///
  /// - Throws: `IOFailure`.
  public static func write(_ bytes: [UInt8], to path: String) throws(IOFailure) {
    let (folder, name) = try place(path)
    try folder.write(bytes, to: name)
  }

  /// Gives the flushed file `temporary` the name `path` in the same folder, replacing what is there,
  /// for good.
  ///
  /// - Throws: `IOFailure`.
  public static func rename(_ temporary: String, to path: String) throws(IOFailure) {
    let (folder, name) = try place(path)
    try folder.rename(lastName(of: temporary), to: name)
    try folder.sync()
  }

  /// Gives the flushed file `temporary` the name `path` in the same folder if nothing has it, for
  /// good.
  ///
  /// Where the file system can do neither of what `Directory.claim` does, this takes two steps, and a
  /// file that appears in the very moment is replaced.
  ///
  /// - Returns: false if the name is taken.
  /// - Throws: `IOFailure`.
  public static func rename(_ temporary: String, toNew path: String) throws(IOFailure) -> Bool {
    let (folder, name) = try place(path)
    let other = lastName(of: temporary)
    do {
      guard try folder.claim(name, with: other) else { return false }
      try folder.sync()
      try folder.remove(other)
    } catch {
      guard error.isNoSuchStep else { throw error }
      if try folder.status(name) != nil { return false }
      try folder.rename(other, to: name)
      try folder.sync()
    }
    return true
  }

  private static func place(_ path: String) throws(IOFailure) -> (folder: Directory, name: String) {
    (try Directory(parent(of: path)), lastName(of: path))
  }

  private static func lastName(of path: String) -> String {
    FilePath(path).lastComponent?.string ?? path
  }

  /// Removes a file; one that is not there is no failure.
  ///
  /// - Throws: `IOFailure`.
  public static func remove(_ path: String) throws(IOFailure) {
    if unlink(path) != 0, errno != ENOENT {
      throw IOFailure(.transfer, "remove", path, Errno(rawValue: errno))
    }
  }

  /// Removes a folder and all in it.
  ///
  /// - Throws: `IOFailure`.
  public static func removeTree(_ path: String) throws(IOFailure) {
    for name in try directoryEntries(path) {
      let inner = "\(path)/\(name)"
      var status = stat()
      if lstat(inner, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
        try removeTree(inner)
      } else {
        try remove(inner)
      }
    }
    if rmdir(path) != 0 { throw IOFailure(.transfer, "remove", path, Errno(rawValue: errno)) }
  }

  /// Flushes the names in a directory to disk.
  ///
  /// - Throws: `IOFailure`.
  public static func syncDirectory(_ path: String) throws(IOFailure) {
    try Directory(path).sync()
  }

  /// The directory that holds `path`.
  public static func parent(of path: String) -> String {
    let parent = FilePath(path).removingLastComponent().string
    return parent.isEmpty ? "." : parent
  }
}

/// The names in a directory, sorted by their bytes, without `.` and `..`.
///
/// - Throws: `IOFailure`.
public func directoryEntries(_ path: String) throws(IOFailure) -> [String] {
  try directoryEntries(FilePath(path)).map(\.string)
}

/// The names in a directory, sorted by their bytes, without `.` and `..`.
///
/// - Throws: `IOFailure`.
public func directoryEntries(_ path: FilePath) throws(IOFailure) -> [FilePath.Component] {
  let descriptor = try retrying(.open, "open directory", path.string) {
    try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .directory])
  }
  return try directoryEntries(descriptor, path.string)
}

/// The same of a folder that is open, whose descriptor is closed.
func directoryEntries(
  _ descriptor: FileDescriptor, _ path: String
) throws(IOFailure) -> [FilePath.Component] {
  guard let directory = fdopendir(descriptor.rawValue) else {
    let reason = Errno(rawValue: errno)
    try? descriptor.close()
    throw IOFailure(.open, "open directory", path, reason)
  }
  defer { closedir(directory) }
  var names: [FilePath.Component] = []
  while true {
    errno = 0
    guard let entry = readdir(directory) else {
      if errno != 0 {
        throw IOFailure(.transfer, "read directory", path, Errno(rawValue: errno))
      }
      break
    }
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { FilePath.Component(platformString: $0) }
    }
    if let name, name.kind == .regular { names.append(name) }
  }
  return names.sorted { first, second in
    first.withPlatformString { first in
      second.withPlatformString { strcmp(first, $0) < 0 }
    }
  }
}

/// A file or a folder itself, whatever names it has.
public struct FileIdentity: Hashable, Sendable {
  private let device: UInt64
  private let number: UInt64

  fileprivate init(_ number: UInt64) {
    device = .max
    self.number = number
  }

  fileprivate init(_ status: stat) {
    device = UInt64(status.st_dev)
    number = UInt64(status.st_ino)
  }
}

/// What a name stands for.
public struct FileStatus: Sendable {
  /// The kinds of things that have names; the text is for messages.
  public enum Kind: String, Sendable {
    case file = "a file"
    case folder = "a folder"
    case link = "a symbolic link"
    case pipe = "a named pipe"
    case socket = "a socket"
    case device = "a device"
  }

  /// The kind.
  public let kind: Kind
  /// Which of its kind it is.
  public let identity: FileIdentity
  /// Its size in bytes, if it is a file; else 0.
  public let size: UInt64
  /// When it was last changed, by the clock of the file system: seconds since 1970.
  public let modified: Double

  /// Looks at what has the name `path`, and, unless `following` is false, at what a symbolic link
  /// leads to; nil if there is nothing, or no such name can be.
  ///
  /// stat(2), lstat(2)
  ///
  /// - Throws: `IOFailure`.
  public init?(_ path: FilePath, following: Bool = true) throws(IOFailure) {
    var status = stat()
    guard path.withPlatformString({ following ? stat($0, &status) : lstat($0, &status) }) == 0
    else {
      let reason = Errno(rawValue: errno)
      switch reason {
      case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels, .fileNameTooLong:
        return nil
      default: throw IOFailure(.open, "open", path.string, reason)
      }
    }
    self.init(status)
  }

  /// Describes a file or a folder that is not the system's.
  ///
  /// - Parameters:
  ///   - kind: the kind.
  ///   - number: tells it from all others of its kind.
  ///   - size: its size in bytes.
  ///   - modified: when it was last changed, in seconds since 1970.
  public init(kind: Kind, number: UInt64, size: UInt64, modified: Double) {
    self.kind = kind
    self.size = size
    self.modified = modified
    identity = FileIdentity(number)
  }

  init(_ status: stat) {
    kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .folder
      case S_IFLNK: .link
      case S_IFIFO: .pipe
      case S_IFSOCK: .socket
      default: .device
      }
    identity = FileIdentity(status)
    size = kind == .file ? UInt64(max(0, status.st_size)) : 0
    modified = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
  }
}

/// The path by which its folder lists what has the name `path`, if that is another path.
///
/// File systems take two names for one that differ in case or in the form of their letters only.
///
/// - Throws: `IOFailure`.
public func otherPath(of path: FilePath) throws(IOFailure) -> FilePath? {
  guard let identity = try FileStatus(path, following: false)?.identity else { return nil }
  let folder = path.removingLastComponent()
  for name in try directoryEntries(folder.isEmpty ? "." : folder) where name != path.lastComponent {
    let other = folder.appending(name)
    if try FileStatus(other, following: false)?.identity == identity { return other }
  }
  return nil
}

/// What the symbolic link `path` says, there or not; nil if it is none.
///
/// readlink(2)
public func linkTarget(_ path: FilePath) -> FilePath? {
  var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
  let count = path.withPlatformString { readlink($0, &target, target.count - 1) }
  return count > 0 ? FilePath(platformString: target) : nil
}

/// `path` from the root, without links and dots.
///
/// - Throws: `IOFailure`.
public func absolutePath(_ path: String) throws(IOFailure) -> String {
  guard let resolved = realpath(path, nil) else {
    throw IOFailure(.open, "resolve", path, Errno(rawValue: errno))
  }
  defer { free(resolved) }
  return String(cString: resolved)
}

/// 32 hexadecimal digits of the system's randomness.
public func randomIdentifier() -> String {
  var generator = SystemRandomNumberGenerator()
  let words = [generator.next(), generator.next()]
  return words.withUnsafeBytes { hexadecimal($0) }
}

/// The time of day, as the system has it.
public enum Clock {
  /// Seconds since 1970.
  public static func now() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }

  /// A time as `2026-11-21T09:30:00.000000Z`, whose texts are ordered as the times are.
  ///
  /// Times before 1970 or after 9999 become these.
  public static func text(_ seconds: Double) -> String {
    let clamped = min(max(seconds, 0), 253_402_300_799)
    var whole = time_t(clamped)
    var parts = tm()
    gmtime_r(&whole, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let fraction = String(1_000_000 + Int((clamped - Double(whole)) * 1e6)).dropFirst()
    return String(decoding: text[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      + ".\(fraction)Z"
  }
}

extension Clock {
  /// Whether `text` is a time as `text(_:)` writes it, of a day that there is.
  public static func isText(_ text: String) -> Bool {
    let form = Array("0000-00-00T00:00:00.000000Z".utf8)
    let bytes = Array(text.utf8)
    guard bytes.count == form.count,
      zip(bytes, form).allSatisfy({
        $1 == 0x30 ? (0x30...0x39).contains($0) : $0 == $1
      })
    else { return false }
    func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1) - 0x30 } }
    let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    // A minute may have a leap second.
    return (1...12).contains(month) && (1...days[month - 1]).contains(day) && number(11..<13) < 24
      && number(14..<16) < 60 && number(17..<19) <= 60
  }
}

/// The present time as `2026-11-21T09:30:00.000000Z`.
public func timestamp() -> String { Clock.text(Clock.now()) }

/// Whether anything has the name `path`.
public func fileExists(_ path: String) -> Bool { fileExists(FilePath(path)) }

/// Whether anything has the name `path`.
public func fileExists(_ path: FilePath) -> Bool {
  path.withPlatformString { access($0, F_OK) == 0 }
}

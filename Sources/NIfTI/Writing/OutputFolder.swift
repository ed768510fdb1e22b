public import ByteIO
internal import SystemPackage
internal import Frames

/// The folder that a run writes its files to, and what the run made there.
///
/// What the run made itself it never replaces, also where the file system takes two names for one;
/// and no symbolic link below the folder leads it elsewhere.
final class OutputFolder {
  private let root: String
  private let options: NIfTIWriter.Options
  /// The paths of the files, 16 bytes each, and the files.
  private var paths: Set<TextDigest> = []
  private var files: Set<FileIdentity> = []
  /// The folders below, each with the path by which it was come to.
  private var folders: [FileIdentity: TextDigest] = [:]

  /// Writes to `root`, which may itself be a symbolic link.
  init(_ root: String, _ options: NIfTIWriter.Options) {
    self.root = root
    self.options = options
  }

  /// The path of the file that is to be named `name`; the folders that it needs are made.
  ///
  /// - Throws: `NIfTIWriter.Exists` if it cannot have that name; `IOFailure`.
  func prepare(_ name: String) throws -> FilePath {
    try Publishing.makeDirectories(root)
    var path = FilePath(root)
    let components = FilePath(name).lexicallyNormalized().components
    for component in components.dropLast() {
      path.append(component)
      try enter(path)
    }
    if let last = components.last { path.append(last) }
    try check(path)
    return path
  }

  /// A name that nothing has, in the folder of `path`.
  static func temporaryName(beside path: FilePath) -> String {
    "\(Publishing.parent(of: path.string))/.nifti-write-\(randomIdentifier())"
  }

  /// Gives the flushed file `temporary` the name `path`, for good.
  ///
  /// - Throws: `NIfTIWriter.Exists` if it cannot have it, by now; `IOFailure`.
  func publish(_ temporary: String, as path: FilePath) throws {
    try check(path)
    if options.replaces {
      try Publishing.rename(temporary, to: path.string)
    } else {
      guard try Publishing.rename(temporary, toNew: path.string) else {
        throw exists(path, .there)
      }
    }
    paths.insert(TextDigest(ExactString(path.string)))
    if let file = try FileStatus(path, following: false) { files.insert(file.identity) }
  }

  /// Writes a small file whole.
  ///
  /// - Throws: `NIfTIWriter.Exists` if it cannot have that name; `IOFailure`.
  func write(_ bytes: [UInt8], as name: String) throws {
    let path = try prepare(name)
    let temporary = Self.temporaryName(beside: path)
    try Publishing.write(bytes, to: temporary)
    do {
      try publish(temporary, as: path)
    } catch {
      try? Publishing.remove(temporary)
      throw error
    }
  }

  /// Whether something has the name.
  func has(_ name: String) throws -> Bool {
    try FileStatus(FilePath(root).appending(name), following: false) != nil
  }

  /// Makes sure that `path` is a folder, and that no other name led to it.
  private func enter(_ path: FilePath) throws {
    if try FileStatus(path, following: false) == nil { try Publishing.makeDirectory(path.string) }
    guard let folder = try FileStatus(path, following: false), folder.kind == .folder else {
      if linkTarget(path) != nil { throw exists(path, .link) }
      throw IOFailure(.create, "create directory", path.string, .fileExists)
    }
    let key = TextDigest(ExactString(path.string))
    guard folders.updateValue(key, forKey: folder.identity) ?? key == key else {
      throw exists(path, .made(as: try otherPath(of: path)?.string))
    }
  }

  /// Looks whether a file may get the name `path`.
  private func check(_ path: FilePath) throws {
    if paths.contains(TextDigest(ExactString(path.string))) { throw exists(path, .made(as: nil)) }
    guard let there = try FileStatus(path, following: false) else { return }
    if there.kind == .link { throw exists(path, .link) }
    if files.contains(there.identity) {
      throw exists(path, .made(as: try otherPath(of: path)?.string))
    }
    if !options.replaces { throw exists(path, .there) }
    if there.kind == .folder { throw IOFailure(.create, "create", path.string, .isDirectory) }
  }

  private func exists(_ path: FilePath, _ cause: NIfTIWriter.Exists.Cause) -> NIfTIWriter.Exists {
    NIfTIWriter.Exists(path: path.string, cause: cause, advice: options.advice)
  }
}

extension NIfTIWriter {
  /// A name that a file or a folder cannot have.
  public struct Exists: ExplainedError, CustomStringConvertible {
    /// What is in its way.
    enum Cause {
      /// Something that this run did not make.
      case there
      /// What another volume of the stream got, under the name that is given if it is another.
      case made(as: String?)
      /// A symbolic link, which may lead elsewhere.
      case link
    }

    let path: String
    let cause: Cause
    let advice: String?

    /// See `ExplainedError`.
    public var failureKind: FailureKind { .cannotCreate }

    /// `cannot create 'x': reason`.
    public var description: String {
      let hint = advice.map { "; \($0)" } ?? ""
      let reason =
        switch cause {
        case .there: "it exists; --force replaces it"
        case .made(nil): "another volume of this stream has the name\(hint)"
        case .made(let other?):
          "the file system takes it for '\(other)', which another volume of this stream has\(hint)"
        case .link: "it is a symbolic link, which may lead elsewhere"
        }
      return "cannot create '\(path)': \(reason)"
    }
  }
}

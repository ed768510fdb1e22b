internal import ByteIO
internal import SystemPackage

/// Something that was found where a file is read, and is none that can be: it is passed over.
///
/// Pipes, sockets and devices are, which whoever opens them may wait for, for ever.
public struct PassedOver: Error, Sendable {
  /// Its path.
  public var path: String
  /// What it is.
  public var what: String

  init(_ path: FilePath, _ what: String) {
    self.path = path.string
    self.what = what
  }
}

/// What a name leads to that was given or found.
enum FoundFile {
  /// What `path` leads to; nil if there is nothing of the name.
  ///
  /// - Throws: `NIfTIError` for a symbolic link to what is not there, as git-annex and an unmounted
  ///   share leave it: such a file is absent, and not one that nobody has; `IOFailure`.
  static func status(of path: FilePath) throws -> FileStatus? {
    if let status = try FileStatus(path) { return status }
    if let target = linkTarget(path) {
      throw NIfTIError(path.string, "it is \(absence(of: target))")
    }
    return nil
  }

  /// What a link is whose `target` is not there.
  static func absence(of target: FilePath) -> String {
    "a symbolic link to '\(target)', which is not there"
  }

  /// Opens the file `path` and never waits for one.
  ///
  /// - Throws: `NIfTIError` if it is no file, or is absent; `IOFailure`.
  static func open(_ path: FilePath) throws -> InputFile {
    let opened = Result { () throws(IOFailure) in try InputFile(path, waiting: false) }
    if case .failure(let failure) = opened, failure.isNotFound { _ = try status(of: path) }
    let file = try opened.get()
    // What was looked at before may have given its name away.
    let kind = try file.status().kind
    guard kind == .file else { throw NIfTIError(path.string, "it is \(kind.rawValue)") }
    return file
  }
}

extension FileStatus.Kind {
  /// Whether who opens it may wait for others.
  var mayBlock: Bool { self == .pipe || self == .socket || self == .device }
}

extension SourcePath {
  /// Looks at what the files of the volume are, before anybody opens them.
  ///
  /// - Throws: `PassedOver` if one is no file; `NIfTIError` if it is absent; `IOFailure`.
  func requireFiles() throws {
    for path in files {
      if let kind = try FoundFile.status(of: path)?.kind, kind.mayBlock {
        throw PassedOver(path, kind.rawValue)
      }
    }
  }
}

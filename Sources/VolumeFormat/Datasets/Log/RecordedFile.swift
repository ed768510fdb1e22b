internal import Frames
internal import ByteIO

extension InputFile {
  /// Opens a file of a dataset, which may be a stranger's: a link, a pipe, a device or a directory
  /// in its place is refused, and not followed or waited for.
  ///
  /// - Throws: `FormatError` if it is no regular file; `IOFailure`.
  static func regular(_ path: String) throws -> (file: InputFile, size: UInt64) {
    let file: InputFile
    do {
      file = try InputFile(unlinked: path)
    } catch {
      guard error.errno == .tooManySymbolicLinkLevels else { throw error }
      throw FormatError(path, "it is a symbolic link, which no file of a dataset may be")
    }
    guard let size = try file.size() else { throw FormatError(path, "not a regular file") }
    return (file, size)
  }

  /// Opens a file of a dataset that must be so long.
  ///
  /// - Throws: `FormatError` if it is not, or no regular file; `IOFailure`.
  static func recorded(_ path: String, bytes: UInt64) throws -> InputFile {
    let (file, size) = try regular(path)
    guard size == bytes else {
      throw FormatError(path, "its size is not \(bytes) bytes, as recorded")
    }
    return file
  }
}

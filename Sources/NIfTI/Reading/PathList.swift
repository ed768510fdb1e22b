public import ByteIO
public import SystemPackage

/// Paths in a file, one a line or each ended by NUL.
public struct PathList {
  private let path: String
  private var lines: LineList

  /// Reads from `file`.
  public init(_ file: InputFile, nulSeparated: Bool) {
    path = file.path
    lines = LineList(file, nulSeparated: nulSeparated)
  }

  /// The next path that is not empty; nil at the end.
  ///
  /// - Throws: `NIfTIError` for one with a NUL in it; `LineList.TooLong`; `IOFailure`.
  public mutating func next() throws -> FilePath? {
    guard let bytes = try lines.next() else { return nil }
    guard let path = FilePath(bytes: bytes) else {
      throw NIfTIError(self.path, "a path in this list holds a NUL; --null reads such lists")
    }
    return path
  }
}

extension FilePath {
  /// A path of any bytes; nil if a NUL is among them.
  init?(bytes: [UInt8]) {
    if bytes.contains(0) { return nil }
    self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
  }
}

public import ByteIO
public import SystemPackage

/// Paths in a file, one a line or each ended by NUL.
public struct PathList {
  private static let maximumPath = 1 << 16

  private let file: InputFile
  private let separator: UInt8
  private var buffer: [UInt8] = []
  private var start = 0
  private var isAtEnd = false

  /// Reads from `file`.
  public init(_ file: InputFile, nulSeparated: Bool) {
    self.file = file
    separator = nulSeparated ? 0 : 0x0A
  }

  /// The next path that is not empty; nil at the end.
  ///
  /// - Throws: `NIfTIError` for one over 64 KiB or with a NUL in it; `IOFailure`.
  public mutating func next() throws -> FilePath? {
    while true {
      let bytes: [UInt8]
      if let end = buffer[start...].firstIndex(of: separator) {
        bytes = Array(buffer[start..<end])
        start = end + 1
      } else if isAtEnd {
        bytes = Array(buffer[start...])
        start = buffer.count
        if bytes.isEmpty { return nil }
      } else {
        try refill()
        continue
      }
      if bytes.isEmpty { continue }
      guard let path = FilePath(bytes: bytes) else {
        throw NIfTIError(file.path, "a path in this list holds a NUL; --null reads such lists")
      }
      return path
    }
  }

  private mutating func refill() throws {
    buffer.removeSubrange(..<start)
    start = 0
    guard buffer.count <= Self.maximumPath else {
      throw NIfTIError(file.path, "a path in this list is over 64 KiB long")
    }
    var more = [UInt8](repeating: 0, count: 1 << 16)
    let count = try more.withUnsafeMutableBytes { try file.read(into: $0) }
    isAtEnd = count == 0
    buffer += more[..<count]
  }
}

extension FilePath {
  /// A path of any bytes; nil if a NUL is among them.
  init?(bytes: [UInt8]) {
    if bytes.contains(0) { return nil }
    self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
  }
}

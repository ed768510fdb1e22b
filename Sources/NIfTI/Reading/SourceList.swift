public import ByteIO

/// The paths that a user names, on the command line and in a list, and the volumes behind them.
public final class SourceList {
  private var paths: ArraySlice<String>
  private var list: PathList?
  private var walk: FolderWalk?
  private var last: [UInt8]?

  /// Goes through `paths`, then through those in `list`.
  public init(_ paths: [String], list: PathList?) {
    self.paths = paths[...]
    self.list = list
  }

  /// The next volume, or nil at the end; after an error, it goes on behind what was at fault.
  public func next() throws -> SourcePath? {
    while true {
      if let source = try walk?.next() {
        // Both files of a pair may be named, as by a shell's `*`.
        // Swift's strings are equal in either spelling of Unicode, files are not.
        let name = Array(source.header.utf8)
        if source.image != nil, name == last { continue }
        last = name
        return source
      }
      walk = nil
      if let path = paths.popFirst() {
        walk = FolderWalk(path)
      } else if let path = try nextOfList() {
        walk = FolderWalk(path)
      } else {
        return nil
      }
    }
  }
}

extension SourceList {
  /// The next path of the list, which is not gone on with after an error of its own.
  private func nextOfList() throws -> String? {
    do {
      return try list?.next()
    } catch {
      list = nil
      throw error
    }
  }
}

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
  /// - Throws: `NIfTIError` for one over 64 KiB; `IOFailure`.
  public mutating func next() throws -> String? {
    while true {
      if let end = buffer[start...].firstIndex(of: separator) {
        let path = String(decoding: buffer[start..<end], as: UTF8.self)
        start = end + 1
        if !path.isEmpty { return path }
      } else if isAtEnd {
        let path = String(decoding: buffer[start...], as: UTF8.self)
        start = buffer.count
        return path.isEmpty ? nil : path
      } else {
        try refill()
      }
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

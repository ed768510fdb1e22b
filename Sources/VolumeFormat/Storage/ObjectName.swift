internal import ByteIO

/// The name of an object in a store: that of a file, in a folder or beside the folders.
///
/// It cannot lead out of the store, whoever made it up.
package struct ObjectName: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The folder; nil for an object that lies beside the folders.
  package let folder: String?
  /// The name in the folder.
  package let file: String

  /// Makes a name; nil unless both parts are 1 to 255 bytes without `/` and control characters, and
  /// do not begin with a dot: such names are the store's own.
  package init?(_ folder: String?, _ file: String) {
    guard Self.isPart(file), folder.map(Self.isPart) ?? true else { return nil }
    self.init(unchecked: folder, file)
  }

  /// Reads a name as `path` writes it; nil if it is none.
  package init?(path: String) {
    let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      .map { String($0) ?? "" }
    switch parts.count {
    case 1: self.init(nil, parts[0])
    case 2: self.init(parts[0], parts[1])
    default: return nil
    }
  }

  /// A name that begins with a dot, too: of what a store has not finished.
  init(unchecked folder: String?, _ file: String) {
    self.folder = folder
    self.file = file
  }

  package var description: String { path }

  /// `folder/file`, or `file`.
  package var path: String { folder.map { "\($0)/\(file)" } ?? file }

  /// Orders by the bytes of the paths.
  package static func < (a: Self, b: Self) -> Bool {
    a.path.utf8.lexicographicallyPrecedes(b.path.utf8)
  }

  private static func isPart(_ text: String) -> Bool {
    guard (1...255).contains(text.utf8.count), text.utf8.first != UInt8(ascii: ".") else {
      return false
    }
    return text.allBytes { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") }
  }
}

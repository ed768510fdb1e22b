internal import ByteIO
internal import Frames
package import Storage

/// A file that a stage or a manifest names.
public struct FileEntry: Sendable, Equatable {
  /// Its name in the dataset.
  package var name: ObjectName
  /// Size.
  public var bytes: UInt64
  /// 64 hexadecimal digits.
  public var sha256: String

  /// Its path relative to the dataset.
  public var path: String { name.path }

  var json: JSONObject {
    ["path": .text(path), "bytes": .integer(bytes), "sha256": .text(sha256)]
  }
}

extension FileEntry {
  init(_ node: JSONNode) throws(FormatError) {
    let path = try node.required("path")
    guard let name = ObjectName(path: try path.string().string) else {
      throw path.bad("is no path of a file in a dataset")
    }
    self.name = name
    bytes = try node.required("bytes").size()
    sha256 = try node.required("sha256").digest()
  }
}

/// Size and digest of a finished file.
public struct FileSeal: Sendable, Equatable {
  /// Bytes.
  public var bytes: UInt64
  /// SHA-256, 64 hexadecimal digits.
  public var sha256: String

  init(bytes: UInt64, sha256: String) {
    self.bytes = bytes
    self.sha256 = sha256
  }

  /// The entry of the object with this name.
  func entry(_ name: ObjectName) -> FileEntry {
    FileEntry(name: name, bytes: bytes, sha256: sha256)
  }

  /// Reads an object whole.
  init(of file: any ObjectReader) throws {
    let digest = SHA256()
    try file.forEachPart { digest.update($0) }
    self.init(bytes: file.bytes, sha256: hexadecimal(digest.digest()))
  }
}

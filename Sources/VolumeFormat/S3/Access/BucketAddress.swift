/// Where the objects of a dataset are: a bucket and the beginning of their keys.
package struct BucketAddress: Sendable, Equatable {
  /// The bucket's name.
  let bucket: String
  /// What stands before each name, with a slash at its end; empty for none.
  let prefix: String

  /// As a user writes it, without a slash at its end.
  package var url: String { "s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix.dropLast())") }

  /// Why a URL names no place for a dataset.
  package struct Mistake: Error {
    /// What is wrong, to follow the URL in a message.
    package let reason: String
  }

  /// Reads `s3://bucket/prefix`.
  ///
  /// - Throws: `Mistake`.
  package init(_ url: String) throws(Mistake) {
    guard url.utf8.starts(with: "s3://".utf8) else { throw Mistake(reason: "is no s3:// URL") }
    let rest = url.dropFirst(5)
    let end = rest.firstIndex(of: "/") ?? rest.endIndex
    bucket = String(rest[..<end])
    let isName = bucket.utf8.allSatisfy {
      (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x2E
        || $0 == 0x5F || (0x41...0x5A).contains($0)
    }
    guard isName, (3...255).contains(bucket.utf8.count) else {
      throw Mistake(reason: "names no bucket: 3 to 255 letters, digits, '.', '-' and '_'")
    }
    var key = rest[end...].dropFirst()
    while key.hasSuffix("/") { key.removeLast() }
    let parts = key.isEmpty ? [] : key.split(separator: "/", omittingEmptySubsequences: false)
    for part in parts where part.isEmpty || part == "." || part == ".." {
      throw Mistake(reason: "has an empty part, '.' or '..' in its prefix")
    }
    guard key.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
      throw Mistake(reason: "has a control character")
    }
    // A key has at most 1,024 bytes.
    guard key.utf8.count <= 512 else { throw Mistake(reason: "is over 512 bytes long") }
    prefix = key.isEmpty ? "" : key + "/"
  }
}

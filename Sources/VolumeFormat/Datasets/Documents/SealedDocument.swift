internal import Frames
internal import ByteIO

/// A JSON document that ends in its own digest; see vol-dataset(5).
enum SealedDocument {
  private static let before = Array(",\n  \"sha256\" : \"".utf8)
  private static let after = Array("\"\n}\n".utf8)
  private static let end = Array("\n}\n".utf8)

  /// The bytes of an object with its digest as last member.
  static func encode(_ object: JSONObject) -> [UInt8] {
    let document = JSON.encode(object, pretty: true) + [0x0A]
    precondition(document.suffix(end.count).elementsEqual(end), "no JSON object, pretty-printed")
    let digest = SHA256.digits(of: document)
    // A `dropLast` that makes an array would go through it byte by byte.
    return document[..<(document.count - end.count)] + before + Array(digest.utf8) + after
  }

  /// Parses a document; one that is sealed must match its digest, and no object may have a key
  /// twice.
  static func parse(_ bytes: [UInt8], in source: String) throws(FormatError) -> JSONNode {
    let isSealed = try check(bytes, source)
    let root = try JSONDocument(bytes, in: source, isSealed: isSealed).root
    if let key = try root.firstRepeatedKey() {
      throw FormatError(source, "the key '\(key)' is there twice")
    }
    return root
  }

  /// Whether `bytes` are sealed; throws if they are, and by another digest.
  private static func check(_ bytes: [UInt8], _ source: String) throws(FormatError) -> Bool {
    let length = before.count + 64 + after.count
    guard bytes.count > length else { return false }
    let seal = bytes.suffix(length)
    let digits = seal.dropFirst(before.count).prefix(64)
    guard seal.starts(with: before), seal.suffix(after.count).elementsEqual(after),
      Names.isHexadecimal(String(decoding: digits, as: UTF8.self), count: 64)
    else { return false }
    let document = bytes[..<(bytes.count - length)] + end
    let digest = document.withUnsafeBytes { hexadecimal(SHA256.of($0)) }
    guard digest.utf8.elementsEqual(digits) else {
      throw FormatError(source, "it does not match the SHA-256 at its end: it was changed")
    }
    return true
  }
}

internal import ByteIO

/// A JSON document that ends in its own digest; see vol-dataset(5).
enum SealedDocument {
  private static let before = Array(",\n  \"sha256\" : \"".utf8)
  private static let after = Array("\"\n}\n".utf8)
  private static let end = Array("\n}\n".utf8)

  /// The bytes of an object with its digest as last member.
  static func encode(_ value: some Encodable) throws -> [UInt8] {
    let document = try JSON.encode(value, pretty: true) + [0x0A]
    precondition(document.suffix(end.count).elementsEqual(end), "no JSON object, pretty-printed")
    let digest = document.withUnsafeBytes { hexadecimal(SHA256.of($0)) }
    return document.dropLast(end.count) + before + Array(digest.utf8) + after
  }

  /// Decodes a document; one that is sealed must match its digest, and one of version 2 be sealed.
  static func decode<T: Decodable>(
    _ type: T.Type, from bytes: [UInt8], in source: String
  ) throws(FormatError) -> T {
    let isSealed = try check(bytes, source)
    return try JSON.decode(type, from: bytes, in: source, isSealed: isSealed)
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
    let document = bytes.dropLast(length) + end
    let digest = document.withUnsafeBytes { hexadecimal(SHA256.of($0)) }
    guard digest.utf8.elementsEqual(digits) else {
      throw FormatError(source, "it does not match the SHA-256 at its end: it was changed")
    }
    return true
  }
}

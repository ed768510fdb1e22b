public import ByteIO

/// Bytes that JSON holds as text in base64 (RFC 4648, section 4).
public struct Base64: Sendable, Equatable {
  /// The bytes.
  public let bytes: [UInt8]
  /// The text.
  public let text: ExactString

  /// Holds `bytes`.
  public init(_ bytes: [UInt8]) {
    self.bytes = bytes
    text = ExactString(base64(bytes))
  }

  /// Decodes a string.
  ///
  /// - Throws: `FormatError` if it is something else.
  package init(_ node: JSONNode) throws(FormatError) {
    text = try node.string()
    guard let bytes = base64Decoded(Array(text.utf8)) else { throw node.bad("is not base64") }
    self.bytes = bytes
  }
}

/// The first 16 bytes of the SHA-256 of a text, ordered as bytes: what stands for it in an index.
public struct TextDigest: Hashable, Comparable, Sendable {
  /// The first and the last 8 bytes, as big-endian numbers.
  public let high: UInt64, low: UInt64

  /// The digest of a text.
  public init(_ text: ExactString) {
    var text = text.string
    let digest = text.withUTF8 { SHA256.of(UnsafeRawBufferPointer($0)) }
    self.init(digest, at: 0)
  }

  /// The digest whose 16 bytes stand at byte `offset`.
  package init(_ bytes: [UInt8], at offset: Int) {
    high = bytes.loadLittle(offset, as: UInt64.self).byteSwapped
    low = bytes.loadLittle(offset + 8, as: UInt64.self).byteSwapped
  }

  /// The 16 bytes.
  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.appendLittle(high.byteSwapped)
    bytes.appendLittle(low.byteSwapped)
    return bytes
  }

  /// Orders as the bytes do.
  public static func < (a: Self, b: Self) -> Bool {
    a.high != b.high ? a.high < b.high : a.low < b.low
  }
}

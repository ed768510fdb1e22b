/// Text that equals only text of the same bytes.
///
/// Swift's `String` takes two spellings of a character in Unicode for one: an `é` of one scalar and
/// one of two. For ids, names, keys and paths that would make one volume of two. This type has
/// no comparison but that of its UTF-8 bytes.
public struct ExactString: Hashable, Comparable, Sendable, ExpressibleByStringLiteral,
  CustomStringConvertible
{
  /// The text, for messages and for calls that take a `String`.
  public let string: String

  /// Holds `string`.
  public init(_ string: String) { self.string = string }

  /// Holds a literal.
  public init(stringLiteral value: String) { string = value }

  /// Holds bytes; nil if they are not UTF-8.
  public init?(validating bytes: some Sequence<UInt8>) {
    guard let string = String(validating: bytes, as: UTF8.self) else { return nil }
    self.string = string
  }

  /// Its bytes.
  public var utf8: String.UTF8View { string.utf8 }

  /// Whether it has no bytes.
  public var isEmpty: Bool { string.utf8.isEmpty }

  /// The text.
  public var description: String { string }

  /// Whether it begins with the bytes of `prefix`.
  public func hasPrefix(_ prefix: ExactString) -> Bool { utf8.starts(with: prefix.utf8) }

  /// Whether it ends in the bytes of `suffix`.
  public func hasSuffix(_ suffix: ExactString) -> Bool {
    utf8.reversed().starts(with: suffix.utf8.reversed())
  }

  /// Whether the bytes are the same.
  public static func == (a: Self, b: Self) -> Bool {
    guard a.utf8.count == b.utf8.count else { return false }
    return a.utf8.elementsEqual(b.utf8)
  }

  /// Orders by bytes.
  public static func < (a: Self, b: Self) -> Bool {
    a.utf8.lexicographicallyPrecedes(b.utf8)
  }

  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    var string = string
    string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// Whether all bytes of its UTF-8 meet a condition; a loop over `utf8` does more for each byte than
  /// most conditions.
  package func allBytes(_ condition: (UInt8) -> Bool) -> Bool {
    utf8.withContiguousStorageIfAvailable { $0.allSatisfy(condition) }
      ?? utf8.allSatisfy(condition)
  }
}

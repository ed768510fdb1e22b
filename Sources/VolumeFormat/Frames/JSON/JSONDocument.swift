internal import CRapidJSON
package import ByteIO
internal import Glibc

/// One whole document of RFC 8259, parsed strictly and held as a list of its values.
///
/// Numbers stay as they are written. Memory is about twice the text, and 16 bytes a value; time is
/// linear in the text.
public final class JSONDocument: @unchecked Sendable {
  /// The deepest nesting of arrays and objects.
  public static let maximumDepth = 100
  /// The most values and keys, which bounds the memory that decoding takes.
  public static let maximumValues = 2_000_000

  /// The name of the source, for messages.
  package let source: String
  /// Where in the source the text begins, for messages; nil where it is all of it.
  let offset: UInt64?
  /// Whether the document ended in a digest that it matches.
  package let isSealed: Bool
  fileprivate let text: UnsafeMutablePointer<CChar>
  fileprivate let nodes: UnsafeMutablePointer<volpipe_json_node>

  /// Parses `bytes`.
  ///
  /// - Parameters:
  ///   - bytes: the document, all of it.
  ///   - source: a name for messages.
  ///   - offset: where in the source it begins, if it is a part of it.
  ///   - isSealed: whether it ended in a digest that it matches.
  /// - Throws: `FormatError` with the cause and its line and column.
  public init(
    _ bytes: some Collection<UInt8>, in source: String, at offset: UInt64? = nil,
    isSealed: Bool = false
  ) throws(FormatError) {
    self.source = source
    self.offset = offset
    self.isSealed = isSealed
    let count = bytes.count
    guard count < Int(UInt32.max) else {
      throw FormatError(source, at: offset, "it is over 4 GiB of JSON")
    }
    let text = UnsafeMutablePointer<CChar>.allocate(capacity: count + 1)
    let buffer = UnsafeMutableRawBufferPointer(start: text, count: count)
    buffer.copyBytes(from: bytes)
    text[count] = 0
    self.text = text
    var tape = volpipe_json_tape(nodes: nil, count: 0, error_place: 0)
    // The parser takes a NUL for the end of the text.
    let nul = memchr(text, 0, count).map { $0 - UnsafeMutableRawPointer(text) }
    let error =
      nul == nil
      ? volpipe_json_parse(
        text, UInt32(Self.maximumDepth), UInt32(Self.maximumValues), &tape) : volpipe_json_ok
    guard nul == nil, error == volpipe_json_ok, let nodes = tape.nodes else {
      free(tape.nodes)
      nodes = UnsafeMutablePointer.allocate(capacity: 1)
      // Strings before the error were decoded in place: it is told by the text as it came.
      let place = nul ?? min(tape.error_place, count)
      throw FormatError(
        source, at: offset, Self.explain(error, Array(bytes), place, isNUL: nul != nil))
    }
    self.nodes = nodes
  }

  deinit {
    text.deallocate()
    free(nodes)
  }

  /// The value that the document is.
  public var root: JSONNode { JSONNode(self, 0) }

  private static func explain(
    _ error: volpipe_json_error, _ text: [UInt8], _ place: Int, isNUL: Bool
  ) -> String {
    // The parser's words for a control character in a string are those for a wrong escape.
    let byte = place < text.count ? text[place] : nil
    let reason: String
    if isNUL {
      reason = "a NUL"
    } else if error == volpipe_json_bad_escape, let byte, byte < 0x20 {
      reason = "a raw \(name(ofControl: byte)) in a string, which must be escaped"
    } else {
      reason = cause(error)
    }
    let before = text[..<min(place, text.count)]
    let line = before.count { $0 == 0x0A } + 1
    let column = before.count - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
    return "not valid JSON at line \(line), column \(column): \(reason)"
  }

  private static func name(ofControl byte: UInt8) -> String {
    switch byte {
    case 0x0A: "line feed"
    case 0x0D: "carriage return"
    case 0x09: "tab"
    default: "control character"
    }
  }

  private static func cause(_ error: volpipe_json_error) -> String {
    switch error {
    case volpipe_json_out_of_memory: "there is no memory for it"
    case volpipe_json_too_deep: "it is nested over \(maximumDepth) deep"
    case volpipe_json_too_many: "it holds over 2,000,000 values"
    case volpipe_json_empty: "it is empty"
    case volpipe_json_text_behind: "there is text behind the value"
    case volpipe_json_no_key: "expected a key in quotes"
    case volpipe_json_no_colon: "expected ':' behind a key"
    case volpipe_json_no_comma_in_object: "expected ',' or '}'"
    case volpipe_json_no_comma_in_array: "expected ',' or ']'"
    case volpipe_json_bad_unicode_escape: "\\u without four hexadecimal digits"
    case volpipe_json_bad_surrogate: "half of a surrogate pair"
    case volpipe_json_bad_escape: "an escape that JSON does not know"
    case volpipe_json_open_string: "a string that is not closed"
    case volpipe_json_bad_encoding: "a string that is not UTF-8"
    case volpipe_json_number_too_big: "a number beyond 1e308"
    case volpipe_json_bad_number: "a number that is not one of JSON's"
    default: "expected a value"
    }
  }
}

/// A value in a document.
public struct JSONNode: Sendable {
  /// What it is.
  package enum Kind: UInt32 {
    case null, no, yes, number, string, array, object
  }

  package let document: JSONDocument
  let index: Int

  fileprivate init(_ document: JSONDocument, _ index: Int) {
    self.document = document
    self.index = index
  }

  private var node: volpipe_json_node { document.nodes[index] }

  /// What it is.
  package var kind: Kind { Kind(rawValue: UInt32(node.kind)) ?? .null }

  /// Whether it is `null`.
  package var isNull: Bool { kind == .null }

  /// Elements of an array, members of an object, bytes of a string or number.
  package var count: Int { Int(node.length) }

  /// The bytes of a string, decoded, or of a number.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: document.text + Int(node.place), count: Int(node.length))
  }

  /// The node behind it.
  private var next: JSONNode { JSONNode(document, Int(node.end)) }

  /// The error that this value is not what it must be.
  ///
  /// - Parameters:
  ///   - reason: what follows its path.
  ///   - whole: what stands alone where the value is all of the document; nil for `reason`.
  /// - Returns: the error.
  package func bad(_ reason: String, whole: String? = nil) -> FormatError {
    let path = path()
    return FormatError(
      document.source, at: document.offset,
      path.isEmpty ? whole ?? reason : "'\(path)' \(reason)")
  }

  /// The error that this value is of the wrong type.
  func mismatch(_ expected: String) -> FormatError {
    bad(
      "has a value of the wrong type: it is not \(expected)", whole: "it is not \(expected)")
  }

  /// The keys and indexes that lead to this value from the root, with dots between.
  private func path() -> String {
    var names: [String] = []
    var place = 0
    while place < index {
      let holder = JSONNode(document, place)
      var child = JSONNode(document, place + 1)
      var number = 0
      while true {
        if holder.kind == .object {
          let key = child
          child = child.next
          if index < Int(child.node.end) {
            names.append(String(decoding: key.bytes, as: UTF8.self))
            break
          }
        } else if index < Int(child.node.end) {
          names.append(String(number))
          break
        }
        number += 1
        child = child.next
      }
      place = child.index
    }
    return names.joined(separator: ".")
  }

  // MARK: What it holds

  /// A string.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func string() throws(FormatError) -> ExactString {
    guard kind == .string else { throw mismatch("a string") }
    guard let string = ExactString(validating: bytes) else {
      throw bad("holds half of a surrogate pair")
    }
    return string
  }

  /// A whole number within the range of `T`.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(FormatError) -> T {
    guard kind == .number else { throw mismatch("a whole number") }
    if let value = Self.plainInteger(bytes, type) { return value }
    // 1e3 and 2.0 are whole numbers, too.
    let value = try double()
    guard let whole = T(exactly: value), abs(value) <= 0x1p53 else {
      throw bad("is \(bounded), not a whole number from \(T.min) to \(T.max)")
    }
    return whole
  }

  private static func plainInteger<T: FixedWidthInteger>(
    _ bytes: UnsafeRawBufferPointer, _ type: T.Type
  ) -> T? {
    var value: T = 0
    let isNegative = bytes.first == UInt8(ascii: "-")
    for byte in isNegative ? bytes.dropFirst() : bytes[...] {
      guard (0x30...0x39).contains(byte) else { return nil }
      let (tens, over) = value.multipliedReportingOverflow(by: 10)
      let digit = T(truncatingIfNeeded: byte - 0x30)
      let (sum, more) =
        isNegative
        ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
      if over || more { return nil }
      value = sum
    }
    return value
  }

  /// A number; also one of the strings that stand for numbers which JSON lacks.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func double() throws(FormatError) -> Double {
    switch kind {
    case .number:
      // What follows a number in the text is never a digit, and always there.
      return strtod(document.text + Int(node.place), nil)
    case .string:
      switch try string() {
      case "NaN": return .nan
      case "Infinity": return .infinity
      case "-Infinity": return -.infinity
      default: throw mismatch("a number")
      }
    default: throw mismatch("a number")
    }
  }

  /// `true` or `false`.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func boolean() throws(FormatError) -> Bool {
    switch kind {
    case .yes: return true
    case .no: return false
    default: throw mismatch("true or false")
    }
  }

  /// Each element of an array, through `decode`.
  ///
  /// - Throws: `FormatError` if it is no array; what `decode` throws.
  package func array<T>(_ decode: (JSONNode) throws(FormatError) -> T) throws(FormatError) -> [T] {
    guard kind == .array else { throw mismatch("an array") }
    var result: [T] = []
    result.reserveCapacity(count)
    var child = JSONNode(document, index + 1)
    for _ in 0..<count {
      result.append(try decode(child))
      child = child.next
    }
    return result
  }

  /// Visits the members of an object in their order.
  ///
  /// - Throws: `FormatError` if it is no object; what `body` throws.
  package func forEachMember(
    _ body: (_ key: JSONNode, _ value: JSONNode) throws(FormatError) -> Void
  ) throws(FormatError) {
    guard kind == .object else { throw mismatch("an object") }
    var key = JSONNode(document, index + 1)
    for _ in 0..<count {
      let value = key.next
      try body(key, value)
      key = value.next
    }
  }

  /// The last member of an object that has this key; nil if there is none.
  package func member(_ name: StaticString) -> JSONNode? {
    var key = JSONNode(document, index + 1)
    var found: JSONNode?
    for _ in 0..<(kind == .object ? count : 0) {
      let value = key.next
      if key.spells(name) { found = value }
      key = value.next
    }
    return found
  }

  /// Whether the bytes of this string are those of `name`.
  func spells(_ name: StaticString) -> Bool {
    Int(node.length) == name.utf8CodeUnitCount
      && memcmp(document.text + Int(node.place), name.utf8Start, name.utf8CodeUnitCount) == 0
  }

  /// Its number, as written, for a message.
  private var bounded: String { String(decoding: bytes.prefix(40), as: UTF8.self) }
}

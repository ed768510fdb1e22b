public import ByteIO

/// The one way in which volpipe writes JSON.
public enum JSON {
  /// Encodes a value with the keys of objects sorted by their bytes, on one line unless `pretty`.
  public static func encode(_ value: JSONValue, pretty: Bool = false) -> [UInt8] {
    var writer = JSONWriter()
    writer.write(value, pretty ? 0 : nil)
    return writer.bytes
  }

  /// Encodes an object so.
  public static func encode(_ object: JSONObject, pretty: Bool = false) -> [UInt8] {
    encode(.object(object), pretty: pretty)
  }

  /// Parses a document that a user gave.
  ///
  /// - Parameters:
  ///   - bytes: the document; a byte order mark is passed over.
  ///   - source: a name for messages.
  /// - Returns: its value, and the keys that objects have twice, of which the last hold.
  /// - Throws: `FormatError` with line and column.
  public static func parse(
    _ bytes: [UInt8], in source: String
  ) throws(FormatError) -> (value: JSONValue, repeated: [ExactString]) {
    let hasMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
    let document = try JSONDocument(bytes.dropFirst(hasMark ? 3 : 0), in: source)
    var repeated: [ExactString] = []
    let value = try document.root.value { if repeated.count < 100 { repeated.append($0) } }
    return (value, repeated)
  }
}

/// Writes JSON, piece by piece, where a value in memory would cost too much.
public struct JSONWriter {
  /// What was written.
  public private(set) var bytes: [UInt8] = []

  /// Begins with nothing.
  public init() {}

  /// Writes bytes that are JSON, or a part of it, already.
  public mutating func raw(_ text: StaticString) {
    bytes.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Writes a key and a colon, and a comma before it unless an object was just begun.
  public mutating func key(_ key: ExactString) {
    if bytes.last != UInt8(ascii: "{") { bytes.append(UInt8(ascii: ",")) }
    string(key)
    bytes.append(UInt8(ascii: ":"))
  }

  /// Writes a string.
  ///
  /// What a terminal would act on or hide is escaped: control characters, line separators and
  /// marks of direction.
  public mutating func string(_ text: ExactString) {
    var string = text.string
    string.withUTF8 { self.string(utf8: UnsafeRawBufferPointer($0)) }
  }

  /// Writes a value.
  public mutating func value(_ value: JSONValue) { write(value, nil) }

  /// Writes a value of a document anew.
  ///
  /// - Throws: `FormatError` if it holds what cannot be.
  package mutating func node(_ node: JSONNode) throws(FormatError) {
    switch node.kind {
    case .null: raw("null")
    case .yes: raw("true")
    case .no: raw("false")
    case .number: bytes.append(contentsOf: node.bytes)
    case .string:
      // Half of a surrogate pair shows only in the decoded bytes.
      guard Self.isValid(node.bytes) else { throw node.bad("holds half of a surrogate pair") }
      string(utf8: node.bytes)
    case .array:
      raw("[")
      var isFirst = true
      _ = try node.array { (element) throws(FormatError) in
        if !isFirst { raw(",") }
        isFirst = false
        try self.node(element)
      }
      raw("]")
    case .object:
      raw("{")
      try members(of: node)
      raw("}")
    }
  }

  /// Writes the members of an object of a document anew, but for those with the keys `left`.
  ///
  /// - Throws: `FormatError` if it holds what cannot be.
  package mutating func members(
    of node: JSONNode, but left: [StaticString] = []
  ) throws(FormatError) {
    try node.forEachMember { (key, value) throws(FormatError) in
      if left.contains(where: key.spells) { return }
      if bytes.last != UInt8(ascii: "{") { raw(",") }
      try self.node(key)
      raw(":")
      try self.node(value)
    }
  }

  private static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
  }

  // MARK: Values

  /// Writes a value; its lines indented by `depth` steps if that is given.
  fileprivate mutating func write(_ value: JSONValue, _ depth: Int?) {
    switch value {
    case .null: raw("null")
    case .boolean(let flag): raw(flag ? "true" : "false")
    case .number(let number): bytes.append(contentsOf: number.text.utf8)
    case .string(let text): string(text)
    case .array(let items):
      list("[", "]", items.count, depth) { writer, index, depth in
        writer.write(items[index], depth)
      }
    case .object(let object):
      let members = object.sorted { $0.key < $1.key }
      list("{", "}", members.count, depth) { writer, index, depth in
        writer.string(members[index].key)
        if depth == nil { writer.raw(":") } else { writer.raw(" : ") }
        writer.write(members[index].value, depth)
      }
    }
  }

  private mutating func list(
    _ open: StaticString, _ close: StaticString, _ count: Int, _ depth: Int?,
    _ item: (inout JSONWriter, Int, Int?) -> Void
  ) {
    raw(open)
    let inner = depth.map { $0 + 1 }
    for index in 0..<count {
      if index > 0 { raw(",") }
      line(inner)
      item(&self, index, inner)
    }
    if count > 0 { line(depth) }
    raw(close)
  }

  private mutating func line(_ depth: Int?) {
    guard let depth else { return }
    bytes.append(0x0A)
    bytes.append(contentsOf: repeatElement(0x20, count: 2 * depth))
  }

  // MARK: Strings

  private static let digits = Array("0123456789abcdef".utf8)

  private mutating func string(utf8 text: UnsafeRawBufferPointer) {
    bytes.append(UInt8(ascii: "\""))
    var start = 0
    var place = 0
    while place < text.count {
      let byte = text[place]
      // Nothing from 0x20 on below DEL needs a second look but quotes and backslashes; above, C1
      // controls begin with C2, separators and marks of direction with D8 and E2.
      if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        place += 1
        continue
      }
      let (scalar, length) = Self.scalar(text, place)
      if let escape = Self.escape(scalar) {
        bytes.append(contentsOf: text[start..<place])
        bytes.append(contentsOf: escape)
        start = place + length
      }
      place += length
    }
    bytes.append(contentsOf: text[start...])
    bytes.append(UInt8(ascii: "\""))
  }

  /// The scalar at `place` of valid UTF-8, if it has up to three bytes, and how many it has.
  private static func scalar(_ text: UnsafeRawBufferPointer, _ place: Int) -> (UInt32, Int) {
    let first = UInt32(text[place])
    func more(_ index: Int) -> UInt32 {
      place + index < text.count ? UInt32(text[place + index]) & 0x3F : 0
    }
    switch first {
    case ..<0x80: return (first, 1)
    case ..<0xE0: return ((first & 0x1F) << 6 | more(1), 2)
    case ..<0xF0: return ((first & 0x0F) << 12 | more(1) << 6 | more(2), 3)
    default: return (0x1_0000, 4)
    }
  }

  private static func escape(_ scalar: UInt32) -> [UInt8]? {
    switch scalar {
    case 0x22: return Array("\\\"".utf8)
    case 0x5C: return Array("\\\\".utf8)
    case 0x08: return Array("\\b".utf8)
    case 0x09: return Array("\\t".utf8)
    case 0x0A: return Array("\\n".utf8)
    case 0x0C: return Array("\\f".utf8)
    case 0x0D: return Array("\\r".utf8)
    default:
      guard UnsafeScalars.mustShow(scalar) else { return nil }
      let nibbles = [12, 8, 4, 0].map { digits[Int(scalar >> UInt32($0)) & 15] }
      return Array("\\u".utf8) + nibbles
    }
  }
}

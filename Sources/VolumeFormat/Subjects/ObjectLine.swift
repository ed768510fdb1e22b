/// A line that is a JSON object, its members in the order in which they stand.
struct ObjectLine {
  /// A key and the JSON text of its value, without space around it.
  struct Member {
    var key: String
    var value: ArraySlice<UInt8>
  }

  let members: [Member]
  /// The same, decoded.
  let values: [String: JSONValue]

  /// Reads a line.
  ///
  /// - Throws: `FormatError` if it is no JSON object, or has a key twice.
  init(_ line: [UInt8], in path: String) throws(FormatError) {
    values = try JSON.decode([String: JSONValue].self, from: line, in: path)
    // It is JSON, then: what is left is to find where each member begins and ends.
    var rest = line[...].drop { $0 != UInt8(ascii: "{") }.dropFirst()
    var members: [Member] = []
    while let start = rest.firstIndex(of: UInt8(ascii: "\"")) {
      rest = rest[start...]
      let key = Self.take(&rest) { $0 == UInt8(ascii: ":") }
      rest = rest.dropFirst()
      let value = Self.take(&rest) { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "}") }
      members.append(
        Member(key: try JSON.decode(String.self, from: Array(key), in: path), value: value))
    }
    guard members.count == values.count else { throw FormatError(path, "it has a key twice") }
    self.members = members
  }

  /// Takes what stands before the first byte that ends it, outside of strings and brackets.
  private static func take(
    _ rest: inout ArraySlice<UInt8>, until isEnd: (UInt8) -> Bool
  ) -> ArraySlice<UInt8> {
    let space: Set<UInt8> = [0x20, 0x09, 0x0D]
    rest = rest.drop { space.contains($0) }
    var depth = 0
    var isString = false
    var isEscaped = false
    var last = rest.startIndex
    var index = rest.startIndex
    while index < rest.endIndex {
      let byte = rest[index]
      if isString {
        if !isEscaped, byte == UInt8(ascii: "\"") { isString = false }
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
      } else if depth == 0, isEnd(byte) {
        break
      } else {
        switch byte {
        case UInt8(ascii: "\""): isString = true
        case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
        default: break
        }
      }
      index += 1
      if isString || !space.contains(byte) { last = index }
    }
    defer { rest = rest[index...] }
    return rest[..<last]
  }
}

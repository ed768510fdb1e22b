/// A value as Python writes it, of the kinds that stand in the header of an array file.
indirect enum PythonLiteral: Equatable {
  case text(String)
  case number(Int)
  case boolean(Bool)
  /// A list or a tuple.
  case list([PythonLiteral])
  case dictionary([String: PythonLiteral])

  /// Reads a value and the space behind it; nil if the text is something else.
  init?(_ text: [UInt8]) {
    var parser = Parser(text: text)
    guard let value = parser.value(depth: 0) else { return nil }
    parser.skipSpace()
    guard parser.place == text.count else { return nil }
    self = value
  }

  private struct Parser {
    let text: [UInt8]
    var place = 0

    mutating func skipSpace() {
      while place < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[place]) { place += 1 }
    }

    private mutating func take(_ sign: String) -> Bool {
      skipSpace()
      guard text[place...].starts(with: sign.utf8) else { return false }
      place += sign.utf8.count
      return true
    }

    mutating func value(depth: Int) -> PythonLiteral? {
      skipSpace()
      guard place < text.count, depth < 16 else { return nil }
      switch text[place] {
      case UInt8(ascii: "'"), UInt8(ascii: "\""): return string().map { .text($0) }
      case UInt8(ascii: "("): return items("(", ")", depth)
      case UInt8(ascii: "["): return items("[", "]", depth)
      case UInt8(ascii: "{"): return dictionary(depth)
      default:
        if take("True") { return .boolean(true) }
        if take("False") { return .boolean(false) }
        let digits = text[place...].prefix { (0x30...0x39).contains($0) }
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
        place += digits.count
        _ = take("L")  // as Python 2 wrote long numbers
        return .number(number)
      }
    }

    private mutating func string() -> String? {
      let quote = text[place]
      guard let end = text[(place + 1)...].firstIndex(of: quote) else { return nil }
      defer { place = end + 1 }
      let bytes = text[(place + 1)..<end]
      return bytes.contains(UInt8(ascii: "\\")) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private mutating func items(_ open: String, _ close: String, _ depth: Int) -> PythonLiteral? {
      _ = take(open)
      var result: [PythonLiteral] = []
      while !take(close) {
        guard let item = value(depth: depth + 1) else { return nil }
        result.append(item)
        guard take(",") else { return take(close) ? .list(result) : nil }
      }
      return .list(result)
    }

    private mutating func dictionary(_ depth: Int) -> PythonLiteral? {
      _ = take("{")
      var result: [String: PythonLiteral] = [:]
      while !take("}") {
        guard case .text(let key)? = value(depth: depth + 1), take(":"),
          let item = value(depth: depth + 1), result.updateValue(item, forKey: key) == nil
        else { return nil }
        guard take(",") else { return take("}") ? .dictionary(result) : nil }
      }
      return .dictionary(result)
    }
  }
}

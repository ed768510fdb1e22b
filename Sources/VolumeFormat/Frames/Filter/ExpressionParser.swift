internal import ByteIO

/// Reads the text of a `HeaderExpression`, by recursive descent.
///
///     either = both { "||" both }          both  = unary { "&&" unary }
///     unary  = "!" unary | test            test  = value [ operator value ]
///     value  = literal | list | path | "len" "(" value ")" | "(" either ")"
///     path   = name { "." name | "[" number "]" | "[" text "]" }
struct ExpressionParser {
  private typealias Node = HeaderExpression.Node
  private typealias SyntaxError = HeaderExpression.SyntaxError

  /// The deepest nesting of brackets and lists.
  private static let maximumDepth = 100
  /// The most operators, and elements of lists.
  private static let maximumParts = 1000

  private let text: [UInt8]
  private var place = 0
  private var depth = 0
  private var parts = 0

  init(_ text: String) { self.text = Array(text.utf8) }

  mutating func parse() throws(HeaderExpression.SyntaxError) -> HeaderExpression.Node {
    let node = try either()
    skipSpace()
    guard place == text.count else { throw expected("an operator, or the end") }
    return node
  }

  // MARK: Grammar

  private mutating func either() throws(SyntaxError) -> Node {
    depth += 1
    defer { depth -= 1 }
    guard depth < Self.maximumDepth else { throw expected("fewer brackets") }
    var node = try both()
    while take("||") {
      try countPart()
      node = .either(node, try both())
    }
    return node
  }

  private mutating func both() throws(SyntaxError) -> Node {
    var node = try unary()
    while take("&&") {
      try countPart()
      node = .both(node, try unary())
    }
    return node
  }

  private mutating func unary() throws(SyntaxError) -> Node {
    var isNegated = false
    while peek() == UInt8(ascii: "!"), peek(1) != UInt8(ascii: "="), take("!") {
      isNegated.toggle()
    }
    let node = try test()
    return isNegated ? .not(node) : node
  }

  private mutating func test() throws(SyntaxError) -> Node {
    let left = try value()
    for (sign, isNegated) in [("=~", false), ("!~", true)] where take(sign) {
      let start = place
      guard case .literal(.string(let text)) = try value() else {
        throw SyntaxError(reason: "expected a regular expression in quotes", offset: start)
      }
      let pattern: Pattern
      do throws(Pattern.SyntaxError) {
        pattern = try Pattern(text.string)
      } catch {
        throw SyntaxError(
          reason: "'\(bounded(text.string, 200))' is no regular expression: \(error.reason)",
          offset: start)
      }
      return isNegated ? .not(.matches(left, pattern)) : .matches(left, pattern)
    }
    for comparison in HeaderExpression.Comparison.allCases where take(comparison.rawValue) {
      return .compare(comparison, left, try value())
    }
    return left
  }

  private mutating func value() throws(SyntaxError) -> Node {
    skipSpace()
    guard let first = peek() else { throw expected("a value") }
    switch first {
    case UInt8(ascii: "("):
      _ = take("(")
      let node = try either()
      guard take(")") else { throw expected(")") }
      return node
    case UInt8(ascii: "["): return .literal(try list())
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return .literal(.string(try string()))
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
      return .literal(try number())
    default: return try path()
    }
  }

  private mutating func list() throws(SyntaxError) -> JSONValue {
    var items: [JSONValue] = []
    _ = take("[")
    depth += 1
    defer { depth -= 1 }
    guard depth < Self.maximumDepth else { throw expected("fewer brackets") }
    while !take("]") {
      try countPart()
      guard items.isEmpty || take(",") else { throw expected(", or ]") }
      guard case .literal(let item) = try value() else { throw expected("a text or a number") }
      items.append(item)
    }
    return .array(items)
  }

  private mutating func path() throws(SyntaxError) -> Node {
    let first = try name()
    switch first {
    case "true": return .literal(.boolean(true))
    case "false": return .literal(.boolean(false))
    case "null": return .literal(.null)
    case "len" where peek() == UInt8(ascii: "("):
      _ = take("(")
      let node = try either()
      guard take(")") else { throw expected(")") }
      return .length(node)
    default: break
    }
    var steps = [HeaderExpression.Step.key(first)]
    while true {
      if peek() == UInt8(ascii: ".") {
        place += 1
        steps.append(.key(try name()))
      } else if peek() == UInt8(ascii: "[") {
        place += 1
        skipSpace()
        if let quote = peek(), quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
          steps.append(.key(try string()))
        } else if case .number(let number) = try number(), let index = Int(exactly: number.double) {
          steps.append(.index(index))
        } else {
          throw expected("a whole number")
        }
        guard take("]") else { throw expected("]") }
      } else {
        return .path(steps)
      }
    }
  }

  // MARK: Words

  private mutating func name() throws(SyntaxError) -> ExactString {
    let start = place
    while let byte = peek(), byte >= 0x80 || Self.isWord(byte) { place += 1 }
    guard place > start else { throw expected("a name") }
    return ExactString(String(decoding: text[start..<place], as: UTF8.self))
  }

  /// Bounds the work that an expression is, and the depth of the tree that it becomes.
  private mutating func countPart() throws(SyntaxError) {
    parts += 1
    guard parts <= Self.maximumParts else {
      throw SyntaxError(reason: "over \(Self.maximumParts) operators and elements", offset: place)
    }
  }

  private mutating func number() throws(SyntaxError) -> JSONValue {
    let start = place
    while let byte = peek(), Self.isWord(byte) || [0x2B, 0x2D, 0x2E].contains(byte) { place += 1 }
    let word = String(decoding: text[start..<place], as: UTF8.self)
    if let number = Int64(word) { return .integer(number) }
    guard let number = Double(word), number.isFinite else {
      place = start
      throw expected("a number")
    }
    return .real(number)
  }

  private mutating func string() throws(SyntaxError) -> ExactString {
    let quote = text[place]
    place += 1
    var bytes: [UInt8] = []
    while let byte = peek(), byte != quote {
      // A backslash keeps the quote and itself from their meaning; before all else it stays.
      if byte == UInt8(ascii: "\\"), let next = peek(1), next == quote || next == byte {
        place += 1
      }
      bytes.append(text[place])
      place += 1
    }
    guard peek() == quote else { throw expected("the quote that ends the text") }
    place += 1
    return ExactString(String(decoding: bytes, as: UTF8.self))
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      || byte == UInt8(ascii: "_")
  }

  private func peek(_ ahead: Int = 0) -> UInt8? {
    place + ahead < text.count ? text[place + ahead] : nil
  }

  private mutating func skipSpace() {
    while let byte = peek(), [0x20, 0x09, 0x0A, 0x0D].contains(byte) { place += 1 }
  }

  /// Takes a sign, with space around it; a word only if it ends there.
  private mutating func take(_ sign: String) -> Bool {
    skipSpace()
    let bytes = Array(sign.utf8)
    guard text[place...].starts(with: bytes) else { return false }
    if Self.isWord(bytes[0]), let next = peek(bytes.count), Self.isWord(next) { return false }
    place += bytes.count
    skipSpace()
    return true
  }

  private func expected(_ what: String) -> SyntaxError {
    SyntaxError(reason: "expected \(what)", offset: place)
  }
}

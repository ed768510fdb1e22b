internal import ByteIO

/// A condition on a volume's header, as frame-filter(1) describes it.
///
///     dtype == "int16" && shape[2] > 100
public struct HeaderExpression: Sendable {
  /// What is wrong with the text of an expression.
  public struct SyntaxError: Error {
    /// What was expected.
    public var reason: String
    /// Where, in characters from 0.
    public var offset: Int
  }

  indirect enum Node: Sendable {
    case literal(JSONValue)
    case path([Step])
    case length(Node)
    case not(Node)
    case both(Node, Node)
    case either(Node, Node)
    case compare(Comparison, Node, Node)
    case matches(Node, Pattern)
  }

  enum Step: Sendable {
    case key(ExactString)
    case index(Int)
  }

  enum Comparison: String, Sendable, CaseIterable {
    case equal = "==", unequal = "!=", lessOrEqual = "<=", greaterOrEqual = ">=", less = "<"
    case greater = ">", isIn = "in"
  }

  /// A key of headers that an expression asks for, such as `attrs.suffix`.
  public struct Key: Hashable, Sendable, CustomStringConvertible {
    let names: [ExactString]

    /// As the expression may write it.
    public var description: String { names.map(\.string).joined(separator: ".") }
  }

  private let root: Node

  /// The keys that it asks for.
  public var keys: Set<Key> { Self.keys(of: root) }

  /// Reads an expression.
  ///
  /// - Throws: `SyntaxError` if it is none.
  public init(_ text: String) throws(SyntaxError) {
    var parser = ExpressionParser(text)
    root = try parser.parse()
  }

  /// Whether a header meets it.
  ///
  /// - Throws: `FormatError` if the header makes a regular expression take too many steps.
  public func holds(_ header: VolumeHeader) throws(FormatError) -> Bool {
    do throws(Pattern.TooManySteps) {
      return Self.isTrue(try Self.value(root, Self.object(header)))
    } catch {
      throw FormatError(
        header.label,
        "'\(bounded(error.pattern, 200))' takes too many steps to match its header; make the "
          + "expression plainer")
    }
  }

  /// Those of `keys` that a header has not.
  public static func lacking(_ keys: Set<Key>, _ header: VolumeHeader) -> Set<Key> {
    if keys.isEmpty { return keys }
    let object = object(header)
    return keys.filter { $0.names.reduce(object) { look($0, .key($1)) } == .null }
  }

  /// A header with the short names that expressions know.
  private static func object(_ header: VolumeHeader) -> JSONValue {
    var object = header.json
    object["attrs"] = object["attrs"] ?? object["attributes"]
    // One channel is the rule, and headers leave it out.
    object["channels"] = object["channels"] ?? .integer(1)
    return .object(object)
  }

  private static func keys(of node: Node) -> Set<Key> {
    switch node {
    case .literal: []
    case .path(let steps):
      // Lists have their own lengths: of `shape[3]` the key is `shape`.
      [
        Key(
          names: steps.prefix { if case .key = $0 { true } else { false } }.compactMap {
            if case .key(let name) = $0 { name } else { nil }
          })
      ]
    case .length(let node), .not(let node), .matches(let node, _): keys(of: node)
    case .both(let a, let b), .either(let a, let b), .compare(_, let a, let b):
      keys(of: a).union(keys(of: b))
    }
  }

  // MARK: Values

  private static func value(
    _ node: Node, _ header: JSONValue
  ) throws(Pattern.TooManySteps) -> JSONValue {
    switch node {
    case .literal(let value): return value
    case .path(let steps): return steps.reduce(header, look)
    case .length(let node):
      switch try value(node, header) {
      case .array(let items): return .integer(items.count)
      case .object(let members): return .integer(members.count)
      case .string(let text): return .integer(text.string.unicodeScalars.count)
      default: return .null
      }
    case .not(let node): return .boolean(!isTrue(try value(node, header)))
    case .both(let a, let b):
      guard isTrue(try value(a, header)) else { return .boolean(false) }
      return .boolean(isTrue(try value(b, header)))
    case .either(let a, let b):
      if isTrue(try value(a, header)) { return .boolean(true) }
      return .boolean(isTrue(try value(b, header)))
    case .compare(let comparison, let a, let b):
      return .boolean(compare(comparison, try value(a, header), try value(b, header)))
    case .matches(let node, let pattern):
      guard case .string(let text) = try value(node, header) else { return .boolean(false) }
      return .boolean(try pattern.firstMatch(in: Array(text.utf8)) != nil)
    }
  }

  private static func look(_ value: JSONValue, _ step: Step) -> JSONValue {
    switch (value, step) {
    case (.object(let members), .key(let key)): return members[key] ?? .null
    case (.array(let items), .index(let index)):
      let place = index < 0 ? items.count + index : index
      return items.indices.contains(place) ? items[place] : .null
    default: return .null
    }
  }

  private static func isTrue(_ value: JSONValue) -> Bool {
    switch value {
    case .null: false
    case .boolean(let flag): flag
    case .string(let text): !text.isEmpty
    case .array(let items): !items.isEmpty
    case .object(let members): !members.isEmpty
    default: number(value) != 0
    }
  }

  /// Attributes from names and tables are text: with a number, they count as what they say.
  private static func number(_ value: JSONValue) -> Double? {
    switch value {
    case .number(let number): number.double
    case .string(let text): Double(text.string)
    default: nil
    }
  }

  private static func isNumber(_ value: JSONValue) -> Bool {
    if case .string = value { return false }
    return number(value) != nil
  }

  private static func compare(_ comparison: Comparison, _ a: JSONValue, _ b: JSONValue) -> Bool {
    if comparison == .isIn {
      guard case .array(let items) = b else { return false }
      return items.contains { compare(.equal, a, $0) }
    }
    if comparison == .unequal { return !compare(.equal, a, b) }
    if isNumber(a) || isNumber(b) {
      guard let x = number(a), let y = number(b) else { return false }
      return holds(comparison, x, y)
    }
    if case .string(let x) = a, case .string(let y) = b {
      return holds(comparison, x, y)
    }
    return comparison == .equal && a == b
  }

  private static func holds<T: Comparable>(_ comparison: Comparison, _ x: T, _ y: T) -> Bool {
    switch comparison {
    case .equal: x == y
    case .less: x < y
    case .lessOrEqual: x <= y
    case .greater: x > y
    case .greaterOrEqual: x >= y
    case .unequal, .isIn: false
    }
  }
}

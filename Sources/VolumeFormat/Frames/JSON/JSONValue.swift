public import ByteIO
internal import Glibc

/// Any JSON value, for keys that volpipe passes on without knowing them.
public enum JSONValue: Sendable, Equatable {
  case string(ExactString)
  case number(JSONNumber)
  case boolean(Bool)
  case array([JSONValue])
  case object(JSONObject)
  case null

  /// A whole number.
  public static func integer(_ value: some BinaryInteger & Sendable) -> JSONValue {
    .number(JSONNumber(value))
  }

  /// A number; those that JSON lacks become the strings `NaN`, `Infinity` and `-Infinity`, as in
  /// Zarr v3.
  public static func real(_ value: Double) -> JSONValue {
    if value.isFinite { return .number(JSONNumber(value)) }
    return .string(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
  }

  /// Text.
  public static func text(_ string: String) -> JSONValue { .string(ExactString(string)) }

  /// Rows of numbers.
  package static func matrix(_ rows: [[Double]]) -> JSONValue {
    .array(rows.map { .array($0.map { .real($0) }) })
  }
}

/// A number as JSON writes it, with all its digits.
public struct JSONNumber: Sendable, Equatable {
  /// The number as it is written.
  public let text: ExactString

  /// Takes a number from a document.
  init(text: ExactString) { self.text = text }

  /// Writes a whole number.
  public init(_ value: some BinaryInteger & Sendable) { text = ExactString(String(value)) }

  /// Writes a finite number, in the fewest digits that lead back to it.
  public init(_ value: Double) {
    precondition(value.isFinite, "JSON has no such number")
    if value == value.rounded(.towardZero), abs(value) <= 0x1p53 {
      text = ExactString(value == 0 && value.sign == .minus ? "-0" : String(Int64(value)))
    } else {
      text = ExactString("\(value)")
    }
  }

  /// The nearest double.
  public var double: Double { strtod(text.string, nil) }

  /// Whether the two are written alike, or are the same number of a double's precision.
  public static func == (a: Self, b: Self) -> Bool {
    a.text == b.text || (a.double == b.double && abs(a.double) <= 0x1p53)
  }
}

/// The members of a JSON object, in the order in which they came, each key once.
public struct JSONObject: Sendable, Equatable, Sequence, ExpressibleByDictionaryLiteral {
  /// A key and its value.
  public typealias Element = (key: ExactString, value: JSONValue)

  private var members: [Element] = []
  /// Where each key is, once there are so many that looking through them would take long.
  private var places: [ExactString: Int] = [:]
  private static let fewMembers = 16

  /// No members.
  public init() {}

  /// The members of a literal.
  public init(dictionaryLiteral elements: (ExactString, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }

  /// The value of a key; a value that is set takes the place of the one before.
  public subscript(key: ExactString) -> JSONValue? {
    get { place(of: key).map { members[$0].value } }
    set {
      if let place = place(of: key) {
        if let newValue {
          members[place].value = newValue
        } else {
          members.remove(at: place)
          index()
        }
      } else if let newValue {
        members.append((key, newValue))
        if members.count > Self.fewMembers {
          if places.isEmpty { index() } else { places[key] = members.count - 1 }
        }
      }
    }
  }

  private func place(of key: ExactString) -> Int? {
    places.isEmpty ? members.firstIndex { $0.key == key } : places[key]
  }

  private mutating func index() {
    places = [:]
    guard members.count > Self.fewMembers else { return }
    for (place, member) in members.enumerated() { places[member.key] = place }
  }

  /// Number of members.
  public var count: Int { members.count }

  /// Whether there are none.
  public var isEmpty: Bool { members.isEmpty }

  /// Visits the members in their order.
  public func makeIterator() -> IndexingIterator<[Element]> { members.makeIterator() }

  /// Takes over all members of `other`, whose values hold.
  public mutating func merge(_ other: JSONObject) {
    for (key, value) in other { self[key] = value }
  }

  /// Whether both have the same members, in any order.
  public static func == (a: Self, b: Self) -> Bool {
    a.count == b.count && a.allSatisfy { b[$0.key] == $0.value }
  }
}

extension JSONNode {
  /// The value, with all that it holds.
  ///
  /// - Parameter repeated: gets the keys that an object has twice; the last holds.
  /// - Returns: the value.
  /// - Throws: `FormatError` for half of a surrogate pair.
  package func value(_ repeated: (ExactString) -> Void = { _ in }) throws(FormatError) -> JSONValue
  {
    switch kind {
    case .null: return .null
    case .yes: return .boolean(true)
    case .no: return .boolean(false)
    case .string: return .string(try string())
    case .number:
      guard let text = ExactString(validating: bytes) else { throw mismatch("a number") }
      return .number(JSONNumber(text: text))
    case .array:
      return .array(
        try array { (element) throws(FormatError) in try element.value(repeated) })
    case .object: return .object(try objectValue(repeated))
    }
  }

  /// The value of an object.
  package func objectValue(
    _ repeated: (ExactString) -> Void = { _ in }
  ) throws(FormatError) -> JSONObject {
    var result = JSONObject()
    try forEachMember { (key, value) throws(FormatError) in
      let key = try key.string()
      if result[key] != nil { repeated(key) }
      result[key] = try value.value(repeated)
    }
    return result
  }

  // MARK: Members of objects whose keys are known

  /// The value of a key that must be there.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func required(_ key: StaticString) throws(FormatError) -> JSONNode {
    guard kind == .object else { throw mismatch("an object") }
    if let member = member(key) { return member }
    let missing = "no '\(key)' in the JSON object"
    throw bad("has no such member: \(missing)", whole: missing)
  }

  /// The value of a key; nil if it is not there, or null.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func optional(_ key: StaticString) throws(FormatError) -> JSONNode? {
    guard kind == .object else { throw mismatch("an object") }
    return member(key).flatMap { $0.isNull ? nil : $0 }
  }

  /// The members whose keys are not among `known`.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func others(than known: [StaticString]) throws(FormatError) -> JSONObject {
    var result = JSONObject()
    try forEachMember { (key, value) throws(FormatError) in
      if !known.contains(where: key.spells) { result[try key.string()] = try value.value() }
    }
    return result
  }

  /// An array of whole numbers.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func integers<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(FormatError) -> [T] {
    try array { (element) throws(FormatError) in try element.integer(type) }
  }

  /// An array of numbers.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func doubles() throws(FormatError) -> [Double] {
    try array { (element) throws(FormatError) in try element.double() }
  }

  /// Rows of numbers.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func matrix() throws(FormatError) -> [[Double]] {
    try array { (row) throws(FormatError) in try row.doubles() }
  }

  /// An array of strings.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func strings() throws(FormatError) -> [ExactString] {
    try array { (element) throws(FormatError) in try element.string() }
  }

  /// The first key, in the order of the text, that an object of this value has twice; nil if none
  /// has.
  ///
  /// - Throws: `FormatError` that names the place, if it is something else.
  package func firstRepeatedKey() throws(FormatError) -> ExactString? {
    switch kind {
    case .array:
      var found: ExactString?
      _ = try array { (element) throws(FormatError) in
        if found == nil { found = try element.firstRepeatedKey() }
      }
      return found
    case .object:
      var found: ExactString?
      var seen: Set<ExactString> = []
      var few: [JSONNode] = []
      try forEachMember { (key, value) throws(FormatError) in
        if found != nil { return }
        if count <= 32 {
          // For as few as this, looking through them is faster than hashing.
          if few.contains(where: { $0.hasBytes(of: key) }) { found = try key.string() }
          few.append(key)
        } else if case let text = try key.string(), !seen.insert(text).inserted {
          found = text
        }
        if found == nil, value.kind == .array || value.kind == .object {
          found = try value.firstRepeatedKey()
        }
      }
      return found
    default: return nil
    }
  }

  private func hasBytes(of other: JSONNode) -> Bool {
    bytes.elementsEqual(other.bytes)
  }
}

/// A column of a subject table; see vol-dataset(5).
public struct SubjectColumn: Codable, Sendable, Equatable {
  /// What its values are; every value is kept as the text that it was.
  public enum Kind: String, Codable, Sendable {
    case text
    /// As JSON writes numbers.
    case number
    /// `true` and `false`.
    case boolean
    /// Any JSON value, encoded.
    case json

    /// What a column is that holds values of both kinds.
    func joined(_ other: Kind) -> Kind {
      if self == other { return self }
      return self == .json || other == .json ? .json : .text
    }
  }

  /// Its name.
  public var name: String
  /// What its values are.
  public var type: Kind

  /// The name of the first column.
  public static let subject = "obs_subject_id"

  /// What a value is that stands in a table of text.
  static func kind(of text: String) -> Kind {
    if text == "true" || text == "false" { return .boolean }
    return isNumber(text) ? .number : .text
  }

  /// Whether `text` is a number as JSON writes it, which a reader with doubles takes in exactly or
  /// to its last figure: 12 and 1.50, but not 007, +1 or 20 figures.
  static func isNumber(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    func digits(_ rest: inout ArraySlice<UInt8>) -> Int {
      let count = rest.prefix { (0x30...0x39).contains($0) }.count
      rest = rest.dropFirst(count)
      return count
    }
    if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
    let leadsWithZero = rest.first == UInt8(ascii: "0")
    let whole = digits(&rest)
    guard whole > 0, !leadsWithZero || whole == 1 else { return false }
    var figures = whole
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      let fraction = digits(&rest)
      guard fraction > 0 else { return false }
      figures += fraction
    }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
        rest = rest.dropFirst()
      }
      guard digits(&rest) > 0 else { return false }
    }
    return rest.isEmpty && figures <= 15 && Double(text)?.isFinite == true
  }

  /// A value of this column as JSON.
  public func encoded(_ value: String?) throws -> [UInt8] {
    guard let value else { return Array("null".utf8) }
    return type == .text ? try JSON.encode(value) : Array(value.utf8)
  }

  /// A value of this column as it stands in one of kind `other`.
  func converted(_ value: String?, to other: Kind) throws -> String? {
    guard let value, other == .json, type == .text else { return value }
    return String(decoding: try JSON.encode(value), as: UTF8.self)
  }
}

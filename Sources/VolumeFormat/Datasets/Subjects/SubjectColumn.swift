public import Frames
public import ByteIO

/// A column of a subject table; see vol-dataset(5).
public struct SubjectColumn: Sendable, Equatable {
  /// What its values are; every value is kept as the text that it was.
  public enum Kind: String, Sendable {
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
  public var name: ExactString
  /// What its values are.
  public var type: Kind

  /// The name of the first column.
  public static let subject: ExactString = "obs_subject_id"

  /// What a value is that stands in a table of text.
  static func kind(of text: ExactString) -> Kind {
    if text == "true" || text == "false" { return .boolean }
    return isNumber(text) ? .number : .text
  }

  /// Whether `text` is a number as JSON writes it, which a reader with doubles takes in exactly or
  /// to its last figure: 12 and 1.50, but not 007, +1 or 20 figures.
  static func isNumber(_ text: ExactString) -> Bool {
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
    return rest.isEmpty && figures <= 15 && Double(text.string)?.isFinite == true
  }

  /// Writes a value of this column as JSON.
  ///
  /// - Throws: `FormatError` if it is no value of the column.
  public func write(_ value: ExactString?, to writer: inout JSONWriter) throws(FormatError) {
    guard let value else { return writer.raw("null") }
    if type == .text { return writer.string(value) }
    try writer.node(JSONDocument(value.utf8, in: "the value of '\(name)'").root)
  }

  /// A value of this column as it stands in one of kind `other`.
  func converted(_ value: ExactString?, to other: Kind) -> ExactString? {
    guard let value, other == .json, type == .text else { return value }
    return ExactString(String(decoding: JSON.encode(.string(value)), as: UTF8.self))
  }

  /// Whether `value` is one that this column may hold.
  func admits(_ value: ExactString) -> Bool {
    switch type {
    case .text: true
    case .boolean: value == "true" || value == "false"
    case .number: Self.isNumber(value)
    case .json: (try? JSONDocument(value.utf8, in: "")) != nil
    }
  }
}

public import ByteIO

/// The values of a table that say nothing: an empty one, `n/a`, and others that a user names.
public struct MissingValues: Sendable {
  private var tokens: Set<ExactString> = ["", "n/a"]

  /// Adds `others` to those that always are.
  public init(_ others: [ExactString] = []) { tokens.formUnion(others) }

  /// Whether a text says nothing.
  public func contains(_ text: ExactString) -> Bool { tokens.contains(text) }

  /// The same of a field's bytes.
  package func contains(_ field: [UInt8]) -> Bool {
    ExactString(validating: field).map(contains) ?? false
  }
}

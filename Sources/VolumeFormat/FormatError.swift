/// Bytes that are not what a format demands.
public struct FormatError: Error, CustomStringConvertible {
  /// The file, or a name such as `standard input`.
  public var source: String
  /// Byte offset in the source at which the offending part begins, where it is known.
  public var offset: UInt64?
  /// What was expected and what was found.
  public var reason: String

  /// Makes an error.
  public init(_ source: String, at offset: UInt64? = nil, _ reason: String) {
    self.source = source
    self.offset = offset
    self.reason = reason
  }

  /// `bad data in 'x' at byte 7: reason`.
  public var description: String {
    let place = offset.map { " at byte \($0)" } ?? ""
    return "bad data in '\(source)'\(place): \(reason)"
  }
}

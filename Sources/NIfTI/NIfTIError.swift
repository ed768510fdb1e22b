public import ByteIO

/// Why a file is refused.
public struct NIfTIError: ExplainedError, CustomStringConvertible {
  /// What a tool's exit status depends on.
  public enum Kind: Sendable {
    /// The file is not what a NIfTI file must be.
    case badData
    /// A file that must be there is not.
    case missing
    /// A volume cannot become a NIfTI file.
    case unwritable
  }

  /// The kind.
  public var kind: Kind
  /// The file.
  public var path: String
  /// What is wrong.
  public var reason: String

  /// Makes an error.
  public init(_ path: String, _ reason: String, kind: Kind = .badData) {
    self.path = path
    self.reason = reason
    self.kind = kind
  }

  /// See `ExplainedError`.
  public var failureKind: FailureKind { kind == .missing ? .noInput : .badData }

  /// `cannot read 'x': reason`.
  public var description: String {
    "cannot \(kind == .unwritable ? "write" : "read") '\(path)': \(reason)"
  }
}

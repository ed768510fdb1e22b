internal import ByteIO

/// The exit statuses of all tools, after sysexits.h; the table in volpipe(7) lists them.
public enum ExitStatus: Int32, Sendable, CaseIterable {
  case done = 0
  /// Finished, but not all of it.
  case partial = 1
  case usage = 64
  case badData = 65
  case noInput = 66
  case unavailable = 69
  case internalError = 70
  case cannotCreate = 73
  case inputOutput = 74
  case tryAgain = 75
  case noPermission = 77
}

/// A failure with its status and its message, for what no library reports.
public struct ToolFailure: Error {
  /// The status to exit with.
  public var status: ExitStatus
  /// One line, without the tool's name.
  public var message: String

  /// Makes a failure.
  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }
}

/// The one place where errors become exit statuses and messages.
public func explain(_ error: any Error) -> ToolFailure {
  if let failure = error as? ToolFailure { return failure }
  let (kind, line) = explanation(of: error)
  return ToolFailure(ExitStatus(kind), line)
}

extension ExitStatus {
  /// The status of a kind of failure.
  init(_ kind: FailureKind) {
    self =
      switch kind {
      case .badData: .badData
      case .noInput: .noInput
      case .cannotCreate: .cannotCreate
      case .inputOutput: .inputOutput
      case .tryAgain: .tryAgain
      case .noPermission: .noPermission
      case .unavailable: .unavailable
      case .fault: .internalError
      }
  }
}

/// The kinds of failures that a user must tell apart; tools have an exit status for each.
public enum FailureKind: Sendable {
  /// What was read is damaged, or not what it should be.
  case badData
  /// What should be read is not there, or cannot be opened.
  case noInput
  /// What should be made cannot be made.
  case cannotCreate
  /// Reading, writing or flushing failed.
  case inputOutput
  /// It may go well at another time.
  case tryAgain
  /// The system does not permit it.
  case noPermission
  /// A server cannot be reached, or does not answer.
  case unavailable
  /// A fault of the program.
  case fault
}

/// An error that says itself what kind it is and what a user should read.
public protocol ExplainedError: Error {
  /// Its kind.
  var failureKind: FailureKind { get }
  /// What failed, on what, and why, in one line.
  var explanation: String { get }
}

extension ExplainedError where Self: CustomStringConvertible {
  /// The description.
  public var explanation: String { description }
}

/// Kind and line of any error; one that says nothing of itself is a fault of the program.
public func explanation(of error: any Error) -> (kind: FailureKind, line: String) {
  guard let error = error as? any ExplainedError else { return (.fault, "unexpected: \(error)") }
  return (error.failureKind, error.explanation)
}

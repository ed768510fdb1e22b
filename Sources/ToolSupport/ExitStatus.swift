internal import ByteIO
internal import NIfTI
internal import VolumeFormat

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
  switch error {
  case let failure as ToolFailure: failure
  case let failure as IOFailure: ToolFailure(status(of: failure), failure.description)
  case let error as FormatError: ToolFailure(.badData, error.description)
  case let refused as ThreadRefused:
    ToolFailure(
      .tryAgain,
      "the system refuses a thread after \(refused.started); ask for fewer with --jobs, or try again"
    )
  case let error as LineList.TooLong:
    ToolFailure(
      .badData, "cannot read '\(error.path)': a line is over \(error.maximum >> 10) KiB long")
  case let error as DatasetError:
    switch error {
    case .notADataset: ToolFailure(.noInput, error.description)
    case .obstructed, .noClaims: ToolFailure(.cannotCreate, error.description)
    }
  case let error as NIfTIError:
    ToolFailure(error.kind == .missing ? .noInput : .badData, error.description)
  case let error as NIfTIWriter.Exists: ToolFailure(.cannotCreate, error.description)
  case let unsure as UnsureCommit:
    ToolFailure(
      explain(unsure.cause).status,
      "snapshot \(unsure.snapshot) is made but may not outlast a crash of the system: "
        + explain(unsure.cause).message)
  case CommitRefusal.nothingStaged(let reason):
    ToolFailure(.noInput, "nothing to commit \(reason)")
  case CommitRefusal.unreadable(let errors) where !errors.isEmpty: explain(errors[0])
  case CommitRefusal.lostRaces(let count):
    ToolFailure(.tryAgain, "other committers were faster \(count) times; try again")
  case CommitRefusal.moved(let expected, let current):
    ToolFailure(
      .tryAgain,
      expected == current
        ? "nothing changed: the current snapshot \(current) is not the one that was expected"
        : "nothing changed: the current snapshot is \(current), not \(expected) as expected")
  default: ToolFailure(.internalError, "unexpected: \(error)")
  }
}

private func status(of failure: IOFailure) -> ExitStatus {
  switch (failure.errno, failure.kind) {
  case (.permissionDenied, _), (.notPermitted, _): .noPermission
  case (_, .open): .noInput
  case (_, .create): .cannotCreate
  case (_, .transfer): .inputOutput
  }
}

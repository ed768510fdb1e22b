internal import Frames

public import ByteIO
/// Why a directory cannot be used as a dataset.
public enum DatasetError: ExplainedError, CustomStringConvertible {
  /// It is not one.
  case notADataset(String)
  /// It holds something else, and so cannot become one.
  case obstructed(String, by: String)
  /// Its file system cannot give a file a name that nothing has, in one step.
  case noClaims(String)

  /// See `ExplainedError`.
  public var failureKind: FailureKind {
    switch self {
    case .notADataset: .noInput
    case .obstructed, .noClaims: .cannotCreate
    }
  }

  /// One line that names the directory.
  public var description: String {
    switch self {
    case .notADataset(let path):
      "cannot open '\(path)': not a volpipe dataset, it holds no \(Layout.marker)"
    case .obstructed(let path, let other):
      "cannot create dataset '\(path)': it holds '\(other)' and no \(Layout.marker)"
    case .noClaims(let path):
      "cannot write to dataset '\(path)': its file system has neither hard links nor a rename that "
        + "spares what is there, so that two writers could overwrite each other; nothing changed"
    }
  }
}

internal import Glibc
public import SystemPackage

/// A system call that failed on a file.
///
/// Carries what was tried, on what, and the system's reason, so that one line on stderr can name
/// all three.
public struct IOFailure: ExplainedError, CustomStringConvertible {
  /// What kind of work failed, which decides the exit status of a tool.
  public enum Kind: Sendable {
    /// Opening or finding something that must exist.
    case open
    /// Making a file or a directory.
    case create
    /// Reading, writing, flushing or closing an open file.
    case transfer
  }

  /// The kind of work.
  public var kind: Kind
  /// A verb, such as `read` or `link`.
  public var operation: String
  /// The file, or a name such as `standard output`.
  public var path: String
  /// The system's error number.
  public var errno: Errno

  /// Makes a failure.
  public init(_ kind: Kind, _ operation: String, _ path: String, _ errno: Errno) {
    self.kind = kind
    self.operation = operation
    self.path = path
    self.errno = errno
  }

  /// Its kind: what the system forbids, whatever was tried, else by what was tried.
  public var failureKind: FailureKind {
    switch (errno, kind) {
    case (.permissionDenied, _), (.notPermitted, _): .noPermission
    case (_, .open): .noInput
    case (_, .create): .cannotCreate
    case (_, .transfer): .inputOutput
    }
  }

  /// Whether there is nothing of that name.
  public var isNotFound: Bool { errno == .noSuchFileOrDirectory }

  /// Whether a file system cannot give a file a further name, or none that nothing has.
  public var isNoSuchStep: Bool {
    operation == "link"
      && [.notPermitted, .notSupported, .noFunction, .tooManyLinks].contains(errno)
  }

  /// `cannot read 'x': No such file or directory`, in lower case.
  public var description: String {
    "cannot \(operation) '\(path)': \(errno.description.lowercased())"
  }
}

/// Calls `body` again as long as a signal interrupts it, and names the failure otherwise.
///
/// Where `awaited` is given, a call that finds no data or no room, since someone has made the
/// descriptor non-blocking, waits until there is some.
func retrying<T>(
  _ kind: IOFailure.Kind, _ operation: String, _ path: String, awaiting awaited: Awaited? = nil,
  _ body: () throws -> T
) throws(IOFailure) -> T {
  while true {
    do {
      return try body()
    } catch let errno as Errno {
      if errno == .interrupted { continue }
      if errno == .resourceTemporarilyUnavailable, let awaited {
        awaited.wait()
        continue
      }
      throw IOFailure(kind, operation, path, errno)
    } catch {
      throw IOFailure(kind, operation, path, .ioError)
    }
  }
}

/// What a descriptor must be ready for before a call on it makes sense.
struct Awaited {
  var descriptor: FileDescriptor
  var isInput: Bool

  /// Waits until there is data or room, or the other end is gone.
  ///
  /// poll(2)
  func wait() {
    var request = pollfd(
      fd: descriptor.rawValue, events: Int16(isInput ? POLLIN : POLLOUT), revents: 0)
    // Whatever comes of it, the call that is made again tells.
    _ = poll(&request, 1, -1)
  }
}

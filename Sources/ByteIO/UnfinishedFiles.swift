import CLinux
import Glibc

/// Files that are of no use until they are finished, and go if SIGINT, SIGTERM or SIGHUP ends the
/// process before.
///
/// A thread waits for the signals, so that nothing is done in a handler, and nobody who waits for
/// input need be woken: it holds the lock under which files are made and finished, removes what is
/// not finished, and dies of the signal. A second signal ends the process at once.
public final class UnfinishedFiles: @unchecked Sendable {
  private let monitor = Monitor()
  /// What removes each, by its name.
  private var removals: [String: @Sendable () -> Void] = [:]
  private let arrival = Monitor()
  private var hasArrived = false
  private var signals = sigset_t()

  /// Begins with no file; signals do what they did.
  public init() { sigemptyset(&signals) }

  /// From now on signals remove the files; to be called before there are other threads.
  ///
  /// A signal that the parent had ignored, as nohup(1) does, is ignored still.
  ///
  /// - Throws: `ThreadRefused`; signals then do what they did.
  public func removeOnSignal() throws(ThreadRefused) {
    for number in [SIGINT, SIGTERM, SIGHUP] where volpipe_is_ignored(number) == 0 {
      sigaddset(&signals, number)
    }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    do {
      _ = try WorkerThread { [self] in awaitSignal() }
    } catch {
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
      throw error
    }
  }

  /// Makes the file `name` by `body`; `remove` removes it, or does nothing if it is not there.
  ///
  /// - Throws: what `body` throws.
  public func making<T>(
    _ name: String, remove: @escaping @Sendable () -> Void, _ body: () throws -> T
  ) throws -> T {
    try monitor.update {
      removals[name] = remove
      return try body()
    }
  }

  /// Finishes all files by `body`, which no signal but a second one interrupts.
  ///
  /// - Throws: what `body` throws; the files are then as unfinished as before.
  public func finishing<T>(_ body: () throws -> T) throws -> T {
    try monitor.update {
      let result = try body()
      removals.removeAll()
      return result
    }
  }

  /// Does not come back if a signal has come: to be called when the files are finished, and after a
  /// failure, which may be that of a producer that had the same signal.
  public func yieldToSignal() {
    var pending = sigset_t()
    sigpending(&pending)
    let isPending = [SIGINT, SIGTERM, SIGHUP].contains {
      sigismember(&signals, $0) == 1 && sigismember(&pending, $0) == 1
    }
    if isPending || arrival.update({ hasArrived }) { while true { pause() } }
  }

  private func awaitSignal() {
    var awaited = signals
    var number: Int32 = 0
    while sigwait(&awaited, &number) != 0 {}
    arrival.update { hasArrived = true }
    pthread_sigmask(SIG_UNBLOCK, &awaited, nil)
    monitor.update {
      for remove in removals.values { remove() }
      raise(number)
    }
  }
}

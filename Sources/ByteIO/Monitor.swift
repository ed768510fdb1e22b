import CLinux
import Glibc

/// A lock with a condition: state that threads wait for.
///
/// The standard library's `Mutex` has no condition to wait on.
public final class Monitor: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// Makes an unlocked monitor.
  public init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Runs `body` while holding the lock, and wakes all who wait.
  ///
  /// - Throws: what `body` throws.
  public func update<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(condition)
      pthread_mutex_unlock(mutex)
    }
    return try body()
  }

  /// Waits until `body`, run while holding the lock, returns a value; then wakes all who wait.
  public func wait<T>(until body: () -> T?) -> T {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(condition)
      pthread_mutex_unlock(mutex)
    }
    while true {
      if let value = body() { return value }
      pthread_cond_wait(condition, mutex)
    }
  }

  /// Waits so many seconds, or until `isOver`, asked while holding the lock whenever somebody has
  /// updated, is true.
  ///
  /// - Returns: false if it is over.
  public func sleep(_ seconds: Double, unless isOver: () -> Bool) -> Bool {
    var end = timespec()
    clock_gettime(CLOCK_REALTIME, &end)
    end.tv_sec += Int(seconds)
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !isOver() {
      if pthread_cond_timedwait(condition, mutex, &end) == ETIMEDOUT { return true }
    }
    return false
  }
}

/// A thread that the system refuses, as under a limit on processes or memory.
public struct ThreadRefused: ExplainedError {
  /// See `ExplainedError`.
  public var failureKind: FailureKind { .tryAgain }
  /// See `ExplainedError`.
  public var explanation: String {
    "the system refuses a thread after \(started); ask for fewer with --jobs, or try again"
  }
  /// How many threads there are that were asked for together with it.
  public var started: Int

  /// Says that after `started` threads there was none more.
  public init(started: Int) { self.started = started }
}

/// A thread of the system that runs one closure.
public final class WorkerThread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Bytes of a thread's stack: nothing here is nested deeply, and many threads must fit under a limit
  /// on the address space.
  private static let stackBytes = 1 << 20

  private var thread = pthread_t()

  /// Starts `body`.
  ///
  /// - Throws: `ThreadRefused`.
  public init(_ body: @escaping @Sendable () -> Void) throws(ThreadRefused) {
    let box = Unmanaged.passRetained(Body(body)).toOpaque()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, Self.stackBytes)
    let result = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, box)
    guard result == 0 else {
      Unmanaged<Body>.fromOpaque(box).release()
      throw ThreadRefused(started: 0)
    }
  }

  /// Waits for its end.
  public func join() { pthread_join(thread, nil) }
}

/// How many processors this process may use.
public func processorCount() -> Int { max(1, Int(volpipe_processors())) }

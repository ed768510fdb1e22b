internal import ByteIO

/// Threads that run tasks, as many as there are tasks up to a limit; they stay for the next.
final class TaskThreads: @unchecked Sendable {
  private let limit: Int
  private let monitor = Monitor()
  /// Guarded by `monitor`, as all that follows.
  private var tasks: [@Sendable () -> Void] = []
  private var idle = 0
  private var threads = 0

  init(limit: Int) { self.limit = limit }

  /// Runs a task as soon as a thread is free.
  ///
  /// - Throws: `ThreadRefused` if there is no thread at all.
  func run(_ task: @escaping @Sendable () -> Void) throws {
    let needsThread = monitor.update {
      tasks.append(task)
      guard idle < tasks.count, threads < limit else { return false }
      threads += 1
      return true
    }
    guard needsThread else { return }
    do {
      _ = try WorkerThread { self.work() }
    } catch {
      let isAlone = monitor.update {
        threads -= 1
        if threads == 0 { tasks.removeLast() }
        return threads == 0
      }
      // Those that there are do it, later.
      if isAlone { throw error }
    }
  }

  private func work() {
    monitor.update { idle += 1 }
    while true {
      let task: @Sendable () -> Void = monitor.wait {
        guard !tasks.isEmpty else { return nil }
        idle -= 1
        return tasks.removeFirst()
      }
      task()
      monitor.update { idle += 1 }
    }
  }
}

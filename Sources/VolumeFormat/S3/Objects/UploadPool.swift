internal import ByteIO
import Glibc

/// How objects go up in parts; the same for all of a process.
package struct UploadOptions: Sendable, Equatable {
  /// Bytes of a part; 5 MiB at least, as servers demand of all parts but the last.
  package var partBytes = 8 << 20
  /// Parts that are under way at once.
  package var parallel = 16
  /// Bytes of all parts in memory; fewer are under way at once where they would not fit.
  package var maximumBuffer = 256 << 20

  /// The usual.
  package init() {}

  /// The parts that are in memory at once: one is filled while the others are sent.
  package var buffers: Int { max(2, min(parallel, maximumBuffer / partBytes)) }

  /// The least and the most bytes of a part that servers take.
  package static let partRange = 5 << 20...5 << 30
  /// The most parts of an object that servers take.
  static let maximumParts = 10_000
}

/// The memory of parts, and the threads that send them.
///
/// So many parts are under way that, with one that is being filled, they take no more memory than the
/// options allow. A buffer that is being filled takes as much as there is in it.
final class UploadPool: @unchecked Sendable {
  let options: UploadOptions
  private let monitor = Monitor()
  /// Buffers that were used, for the next; guarded by `monitor`, as all that follows.
  private var free: [UnsafeMutableRawBufferPointer] = []
  private var tasks: [@Sendable () -> Void] = []
  /// Tasks that wait or run.
  private var busy = 0
  private var idle = 0
  private var threads = 0

  init(_ options: UploadOptions) { self.options = options }

  deinit { for buffer in free { munmap(buffer.baseAddress, buffer.count) } }

  /// A buffer of `partBytes`.
  ///
  /// - Throws: `IOFailure` if the system has no memory for it.
  func take() throws -> UnsafeMutableRawBufferPointer {
    if let buffer = monitor.update({ free.popLast() }) { return buffer }
    // malloc would keep what is freed; and of whole pages only those count that were written to.
    let bytes = mmap(
      nil, options.partBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let bytes, bytes != MAP_FAILED else {
      throw IOFailure(.create, "get memory for", "a part of an upload", .noMemory)
    }
    return UnsafeMutableRawBufferPointer(start: bytes, count: options.partBytes)
  }

  /// Gives a buffer back.
  func give(_ buffer: UnsafeMutableRawBufferPointer) {
    let isKept = monitor.update {
      guard free.count + busy < options.buffers else { return false }
      free.append(buffer)
      return true
    }
    if !isKept { munmap(buffer.baseAddress, buffer.count) }
  }

  /// Runs a task on a thread of the pool; waits as long as there are as many as may be under way.
  ///
  /// - Throws: `ThreadRefused` if there is no thread at all.
  func run(_ task: @escaping @Sendable () -> Void) throws {
    let needsThread = monitor.wait { () -> Bool? in
      guard busy < options.buffers - 1 else { return nil }
      busy += 1
      tasks.append(task)
      guard idle < tasks.count else { return false }
      threads += 1
      return true
    }
    guard needsThread else { return }
    do {
      _ = try WorkerThread { self.work() }
    } catch {
      let isAlone = monitor.update {
        threads -= 1
        guard threads == 0 else { return false }
        tasks.removeLast()
        busy -= 1
        return true
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
      monitor.update {
        busy -= 1
        idle += 1
      }
    }
  }
}

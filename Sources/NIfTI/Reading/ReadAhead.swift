public import ByteIO
public import Frames

/// Reads and inflates several files at once and hands on what is in them in the order of the
/// files, as if they had been read one after the other.
public final class ReadAhead: @unchecked Sendable {
  /// What comes of the files, in order.
  public enum Event: Sendable {
    /// A volume begins.
    case open(SourcePath, VolumeHeader)
    /// Source bytes that are not voxels.
    case extra([UInt8])
    /// Voxels, to be given back with `recycle`.
    case data(Block)
    /// The volume is whole; quirks that only its end showed.
    case close([String])
    /// A source is bad: before it was opened, or on the way.
    case failure(any Error, wasOpen: Bool)
    /// Something is no file, and was not read.
    case passedOver(PassedOver)
  }

  /// A piece of voxels.
  public struct Block: @unchecked Sendable {
    fileprivate let memory: UnsafeMutableRawBufferPointer
    fileprivate let count: Int
    /// The voxels.
    public var bytes: UnsafeRawBufferPointer { .init(rebasing: memory[..<count]) }
  }

  private static let blockSize = 1 << 20
  /// Bytes that may wait in one file.
  private static let fileBudget = 16 << 20
  /// Bytes that all files may hold, but for the one whose turn it is.
  private static let budget = 64 << 20
  /// Bytes of blocks that are kept for use again.
  private static let spareBudget = 16 << 20

  private final class Queue {
    var events: [(event: Event, size: Int)] = []
    /// Bytes of the events, and of the block that is being filled.
    var bytes = 0
    /// Bytes that are held besides, as a window, until the file is read.
    var claimed = 0
    var isDone = false
  }

  private let monitor = Monitor()
  private let nextSource: () throws -> VolumeSource?
  private let naming: SourceNaming
  private var threads: [WorkerThread] = []
  private var queues: [Int: Queue] = [:]
  private var begun = 0
  private var head = 0
  private let maximumAhead: Int
  /// Whether a thread asks for the next source.
  private var isAsking = false
  private var hasEnded = false
  private var isCancelled = false
  /// Whether all threads were started.
  private var isStarted = false
  /// Threads that have not ended, and those of them that wait for others, as a pipe makes them.
  private var running = 0
  private var waiting = 0
  /// Bytes that all files hold.
  private var total = 0
  private var spare: [UnsafeMutableRawBufferPointer] = []
  private var spareBytes = 0

  /// Starts reading.
  ///
  /// - Parameters:
  ///   - jobs: files that are read at once.
  ///   - naming: how volumes get subjects and attributes.
  ///   - nextSource: gives the sources in order, nil at the end; called from one thread at a time.
  ///     It may throw for one source and go on with the next.
  /// - Throws: `ThreadRefused`; no thread is left running then.
  public init(
    jobs: Int, naming: SourceNaming = SourceNaming(),
    nextSource: @escaping () throws -> VolumeSource?
  ) throws(ThreadRefused) {
    self.nextSource = nextSource
    self.naming = naming
    maximumAhead = jobs + 1
    for _ in 0..<jobs {
      monitor.update { running += 1 }
      do throws(ThreadRefused) {
        threads.append(try WorkerThread { [self] in work() })
      } catch {
        monitor.update { running -= 1 }
        let started = threads.count
        cancel()
        throw ThreadRefused(started: started)
      }
    }
    monitor.update { isStarted = true }
  }

  deinit {
    for memory in spare { memory.deallocate() }
  }

  /// The next event; nil after the last.
  public func next() -> Event? {
    while true {
      let step = monitor.wait { () -> Step? in
        guard let queue = queues[head] else {
          return hasEnded && head == begun ? .event(nil) : nil
        }
        if let (event, size) = queue.events.first {
          queue.events.removeFirst()
          queue.bytes -= size
          total -= size
          return .event(event)
        }
        guard queue.isDone else { return nil }
        queues[head] = nil
        head += 1
        return .turn
      }
      if case .event(let event) = step { return event }
    }
  }

  /// What a look at the queues came to: what is next, or that it is another file's turn, which who
  /// waits for its turn must be woken to see.
  private enum Step {
    case event(Event?)
    case turn
  }

  /// Gives back the memory of a block.
  public func recycle(_ block: Block) { monitor.update { keep(block.memory) } }

  /// Stops reading; to be called on every way out.
  ///
  /// Returns once no thread reads any more, but for those that wait for a pipe or for the list of
  /// files: nothing but the end of the process ends them.
  public func cancel() {
    monitor.update { isCancelled = true }
    let haveEnded = monitor.wait { running == waiting ? running == 0 : nil }
    if haveEnded { for thread in threads { thread.join() } }
    threads = []
  }

  // MARK: The readers' side

  private struct Cancelled: Error {}

  private func work() {
    defer { monitor.update { running -= 1 } }
    // Until all threads are there none takes memory, which the others may lack.
    let goesOn = monitor.wait { isCancelled ? false : isStarted ? true : nil }
    guard goesOn else { return }
    while let (number, source) = begin() {
      var isOpen = false
      do {
        let source = try source.get()
        if source.files.isPipeOfShell {
          try waitingForOthers { try read(source, number, &isOpen) }
        } else {
          try read(source, number, &isOpen)
        }
      } catch is Cancelled {
        return
      } catch let found as PassedOver {
        try? emit(.passedOver(found), number)
      } catch {
        try? emit(.failure(error, wasOpen: isOpen), number)
      }
      monitor.update {
        guard let queue = queues[number] else { return }
        total -= queue.claimed
        queue.claimed = 0
        queue.isDone = true
      }
    }
  }

  /// Does what may wait for as long as somebody else likes.
  private func waitingForOthers<T>(_ body: () throws -> T) rethrows -> T {
    monitor.update { waiting += 1 }
    defer { monitor.update { waiting -= 1 } }
    return try body()
  }

  private func begin() -> (Int, Result<VolumeSource, any Error>)? {
    // Files that were read whole wait for their turn; only so many may. One thread asks for the
    // next, without the lock: a list of files that comes slowly must not hold up what was read.
    let goesOn = monitor.wait { () -> Bool? in
      if hasEnded || isCancelled { return false }
      guard !isAsking, begun - head < maximumAhead else { return nil }
      isAsking = true
      return true
    }
    guard goesOn else { return nil }
    let source: Result<VolumeSource, any Error>?
    do {
      source = try waitingForOthers(nextSource).map { .success($0) }
    } catch {
      source = .failure(error)
    }
    return monitor.update {
      isAsking = false
      guard let source else {
        hasEnded = true
        return nil
      }
      queues[begun] = Queue()
      begun += 1
      return (begun - 1, source)
    }
  }

  private func read(_ source: VolumeSource, _ number: Int, _ isOpen: inout Bool) throws {
    let claim = { [self] (size: Int) in try reserve(size, number, isClaim: true) }
    let file = try NIfTIFile(source.files, claim: claim)
    var header = file.header
    let found = try source.describe(&header, naming, claim: claim)
    if let found { try emit(.passedOver(found), number) }
    try emit(.open(source.files, header), number)
    isOpen = true
    let quirks = try file.pass(
      extra: { try emit(.extra(Array($0)), number) },
      data: { fill in try emitBlock(of: file.header.byteCount, number, fill) })
    try emit(.close(quirks), number)
  }

  /// Fills a block, smaller for a small volume, and queues it.
  private func emitBlock(
    of byteCount: UInt64, _ number: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws {
    let size = Int(min(UInt64(Self.blockSize), (byteCount / 65_536 + 1) * 65_536))
    // Its memory counts from when it is filled: blocks of many files at once are many.
    try reserve(size, number, isClaim: false)
    let memory = takeMemory(size)
    do {
      let count = try fill(memory)
      monitor.update {
        queues[number]?.events.append((.data(Block(memory: memory, count: count)), size))
      }
    } catch {
      monitor.update {
        keep(memory)
        queues[number]?.bytes -= size
        total -= size
      }
      throw error
    }
  }

  private func takeMemory(_ size: Int) -> UnsafeMutableRawBufferPointer {
    let used: UnsafeMutableRawBufferPointer? = monitor.update {
      guard let index = spare.lastIndex(where: { $0.count >= size }) else { return nil }
      spareBytes -= spare[index].count
      return spare.remove(at: index)
    }
    return used ?? .allocate(byteCount: size, alignment: 64)
  }

  /// Keeps memory for use again, or frees it; the lock is held.
  private func keep(_ memory: UnsafeMutableRawBufferPointer) {
    guard spareBytes + memory.count <= Self.spareBudget else { return memory.deallocate() }
    spare.append(memory)
    spareBytes += memory.count
  }

  /// Queues an event that is no block; waits while too much waits already.
  private func emit(_ event: Event, _ number: Int) throws {
    var size = 4096
    if case .extra(let bytes) = event { size = bytes.count + 256 }
    try reserve(size, number, isClaim: false)
    monitor.update { queues[number]?.events.append((event, size)) }
  }

  /// Waits until a file may hold `size` bytes more: there is room for them, or it is its turn.
  ///
  /// The file whose turn it is waits for nothing but that its own events are taken, so that all
  /// goes on. What is no claim is counted as its events.
  private func reserve(_ size: Int, _ number: Int, isClaim: Bool) throws {
    let goesOn = monitor.wait { () -> Bool? in
      guard !isCancelled, let queue = queues[number] else { return false }
      guard number == head || total + size <= Self.budget else { return nil }
      if isClaim {
        queue.claimed += size
      } else {
        guard queue.bytes == 0 || queue.bytes + size <= Self.fileBudget else { return nil }
        queue.bytes += size
      }
      total += size
      return true
    }
    if !goesOn { throw Cancelled() }
  }
}

internal import ByteIO
public import VolumeFormat

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
  private static let budget = 16 << 20

  private final class Queue {
    var events: [Event] = []
    var bytes = 0
    var isDone = false
  }

  private let monitor = Monitor()
  private let sources = Monitor()
  private let nextSource: () throws -> VolumeSource?
  private let readsSidecars: Bool
  private var threads: [WorkerThread] = []
  private var queues: [Int: Queue] = [:]
  private var begun = 0
  private var head = 0
  private let maximumAhead: Int
  private var hasEnded = false
  private var isCancelled = false
  private var spare: [UnsafeMutableRawBufferPointer] = []

  /// Starts reading.
  ///
  /// - Parameters:
  ///   - jobs: files that are read at once.
  ///   - readsSidecars: whether the JSON file beside a volume's becomes an attribute.
  ///   - nextSource: gives the sources in order, nil at the end; called from one thread at a time.
  ///     It may throw for one source and go on with the next.
  public init(
    jobs: Int, readsSidecars: Bool = false, nextSource: @escaping () throws -> VolumeSource?
  ) {
    self.nextSource = nextSource
    self.readsSidecars = readsSidecars
    maximumAhead = jobs + 1
    for _ in 0..<jobs { threads.append(WorkerThread { [self] in work() }) }
  }

  /// The next event; nil after the last.
  public func next() -> Event? {
    monitor.wait { () -> Event?? in
      while let queue = queues[head] {
        if let event = queue.events.first {
          queue.events.removeFirst()
          queue.bytes -= Self.size(event)
          return .some(event)
        }
        guard queue.isDone else { return nil }
        queues[head] = nil
        head += 1
      }
      return hasEnded && head == begun ? .some(nil) : nil
    }
  }

  /// Gives back the memory of a block.
  public func recycle(_ block: Block) { monitor.update { spare.append(block.memory) } }

  /// Stops reading.
  public func cancel() {
    monitor.update { isCancelled = true }
    for thread in threads { thread.join() }
    threads = []
  }

  deinit { for memory in spare { memory.deallocate() } }

  // MARK: The readers' side

  private struct Cancelled: Error {}

  private func work() {
    while let (number, source) = begin() {
      var isOpen = false
      do {
        try read(try source.get(), number, &isOpen)
      } catch is Cancelled {
        return
      } catch let found as PassedOver {
        try? emit(.passedOver(found), number)
      } catch {
        try? emit(.failure(error, wasOpen: isOpen), number)
      }
      monitor.update { queues[number]?.isDone = true }
    }
  }

  private func begin() -> (Int, Result<VolumeSource, any Error>)? {
    // A lock of its own: a list of files that comes slowly must not hold up what was read.
    sources.update {
      // Files that were read whole wait for their turn; only so many may.
      let goesOn = monitor.wait { () -> Bool? in
        if hasEnded || isCancelled { return false }
        return begun - head < maximumAhead ? true : nil
      }
      guard goesOn else { return nil }
      let source: Result<VolumeSource, any Error>
      do {
        guard let next = try nextSource() else {
          monitor.update { hasEnded = true }
          return nil
        }
        source = .success(next)
      } catch {
        source = .failure(error)
      }
      return monitor.update {
        queues[begun] = Queue()
        begun += 1
        return (begun - 1, source)
      }
    }
  }

  private func read(_ source: VolumeSource, _ number: Int, _ isOpen: inout Bool) throws {
    let file = try NIfTIFile(source.files)
    var header = file.header
    if let found = try source.describe(&header, readsSidecar: readsSidecars) {
      try emit(.passedOver(found), number)
    }
    try emit(.open(source.files, header), number)
    isOpen = true
    let quirks = try file.pass(
      extra: { try emit(.extra(Array($0)), number) },
      data: { fill in
        let memory = takeMemory(file.header.byteCount)
        do {
          let count = try fill(memory)
          try emit(.data(Block(memory: memory, count: count)), number)
        } catch {
          monitor.update { spare.append(memory) }
          throw error
        }
      })
    try emit(.close(quirks), number)
  }

  /// Memory for a block, smaller for a small volume.
  private func takeMemory(_ byteCount: UInt64) -> UnsafeMutableRawBufferPointer {
    let size = Int(min(UInt64(Self.blockSize), (byteCount / 65_536 + 1) * 65_536))
    let used: UnsafeMutableRawBufferPointer? = monitor.update {
      guard let index = spare.lastIndex(where: { $0.count >= size }) else { return nil }
      return spare.remove(at: index)
    }
    return used ?? .allocate(byteCount: size, alignment: 64)
  }

  /// Queues an event; waits while too much waits already.
  private func emit(_ event: Event, _ number: Int) throws {
    let size = Self.size(event)
    let isCancelled = monitor.wait { () -> Bool? in
      if self.isCancelled { return true }
      guard let queue = queues[number] else { return true }
      guard queue.bytes == 0 || queue.bytes + size <= Self.budget else { return nil }
      queue.events.append(event)
      queue.bytes += size
      return false
    }
    if isCancelled { throw Cancelled() }
  }

  private static func size(_ event: Event) -> Int {
    switch event {
    case .extra(let bytes): bytes.count + 256
    case .data(let block): block.memory.count
    default: 4096
    }
  }
}

internal import ByteIO

/// Parts of an object that are fetched before they are read, several at once.
final class FetchedRanges: @unchecked Sendable {
  /// What all objects of a store may have fetched and not read yet.
  final class Budget: @unchecked Sendable {
    private let monitor = Monitor()
    private var left: Int
    /// Runs what fetches.
    let threads: TaskThreads

    init(bytes: Int, threads: Int) {
      left = bytes
      self.threads = TaskThreads(limit: threads)
    }

    /// False if there is no room for so many bytes.
    func take(_ bytes: Int) -> Bool {
      monitor.update {
        guard bytes <= left else { return false }
        left -= bytes
        return true
      }
    }

    func give(_ bytes: Int) { monitor.update { left += bytes } }
  }

  /// One request.
  private final class Part: @unchecked Sendable {
    let range: Range<UInt64>
    let bytes: UnsafeMutableRawBufferPointer
    let budget: Budget
    let monitor = Monitor()
    var outcome: Result<UInt64, any Error>?
    /// Bytes that somebody will still read; guarded by the owner's monitor.
    var unread: Int

    init(_ range: Range<UInt64>, unread: Int, _ budget: Budget) {
      self.range = range
      self.unread = unread
      self.budget = budget
      bytes = .allocate(byteCount: range.count, alignment: 64)
    }

    deinit {
      bytes.deallocate()
      budget.give(range.count)
    }
  }

  /// Ranges that lie no further apart are one request: to wait for another takes longer.
  private static let gap: UInt64 = 256 << 10
  /// A request is not made longer than this, if what is wanted is not.
  private static let most: UInt64 = 8 << 20

  private let budget: Budget
  private let fetch: @Sendable (Range<UInt64>, UnsafeMutableRawBufferPointer) throws -> UInt64
  private let monitor = Monitor()
  private var parts: [Part] = []

  /// Begins with none.
  ///
  /// - Parameters:
  ///   - budget: bounds what is in memory.
  ///   - fetch: fills a buffer with a range; gives the size of the whole.
  init(
    _ budget: Budget,
    _ fetch: @escaping @Sendable (Range<UInt64>, UnsafeMutableRawBufferPointer) throws -> UInt64
  ) {
    self.budget = budget
    self.fetch = fetch
  }

  /// Begins to fetch ranges, as far as there is room for them.
  func add(_ ranges: [Range<UInt64>]) {
    var merged: [(range: Range<UInt64>, unread: Int)] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) where !range.isEmpty {
      if let last = merged.last, range.lowerBound <= last.range.upperBound + Self.gap,
        max(range.upperBound, last.range.upperBound) - last.range.lowerBound <= Self.most
      {
        merged[merged.count - 1] = (
          last.range.lowerBound..<max(last.range.upperBound, range.upperBound),
          last.unread + range.count
        )
      } else {
        merged.append((range, range.count))
      }
    }
    for (range, unread) in merged {
      guard let part = begin(range, unread) else { continue }
      let isBegun: Void? = try? budget.threads.run { [fetch] in
        let outcome = Result { try fetch(part.range, part.bytes) }
        part.monitor.update { part.outcome = outcome }
      }
      if isBegun == nil { forget(part) }
    }
  }

  private func begin(_ range: Range<UInt64>, _ unread: Int) -> Part? {
    let isThere = monitor.update { () -> Bool in
      let known = parts.first {
        $0.range.lowerBound <= range.lowerBound && range.upperBound <= $0.range.upperBound
      }
      // It stays until this, too, was read.
      known?.unread += unread
      return known != nil
    }
    if isThere { return nil }
    while !budget.take(range.count) {
      // What nobody came for makes room.
      guard forgetOldest() else { return nil }
    }
    let part = Part(range, unread: unread, budget)
    monitor.update { parts.append(part) }
    return part
  }

  /// Forgets the first part that is whole; false if there is none.
  private func forgetOldest() -> Bool {
    monitor.update {
      let whole = parts.firstIndex { part in part.monitor.update { part.outcome != nil } }
      if let whole { parts.remove(at: whole) }
      return whole != nil
    }
  }

  private func forget(_ part: Part) {
    monitor.update { parts.removeAll { $0 === part } }
  }

  /// Copies what was fetched from byte `offset` on, waiting for what is being fetched.
  ///
  /// - Returns: how many bytes, and the size of the whole; nil if nothing was asked for there.
  /// - Throws: why it could not be fetched.
  func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws -> (count: Int, whole: UInt64)? {
    let found = monitor.update { parts.first { $0.range.contains(offset) } }
    guard let part = found else { return nil }
    let outcome = part.monitor.wait { part.outcome }
    if case .failure = outcome { forget(part) }
    let whole = try outcome.get()
    let start = Int(offset - part.range.lowerBound)
    let bytes = part.bytes[start...].prefix(buffer.count)
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
    monitor.update {
      part.unread -= bytes.count
      if part.unread <= 0 { parts.removeAll { $0 === part } }
    }
    return (bytes.count, whole)
  }
}

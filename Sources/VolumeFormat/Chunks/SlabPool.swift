internal import ByteIO

/// How much of a volume may be in memory at once.
public enum SlabLimit {
  /// Slabs over this many bytes go through a scratch file.
  ///
  /// Two of this size may be in memory: one is filled while the one before is worked on.
  public static let standard = 64 << 20
}

/// Memory for slabs, of which only so much is handed out at a time.
package final class SlabPool: @unchecked Sendable {
  /// Bytes handed out at a time.
  private static let budget = 2 * SlabLimit.standard

  private let monitor = Monitor()
  private var used = 0
  private var free: [UnsafeMutableRawBufferPointer] = []

  package init() {}

  deinit { for buffer in free { buffer.deallocate() } }

  /// Memory of at least `count` bytes; waits while the budget is used up.
  func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
    // Sizes are rounded up, so that the slabs of like volumes fit each other's memory.
    let size = max(1 << 16, count.roundedUp)
    let (buffer, stale) = monitor.wait {
      () -> (UnsafeMutableRawBufferPointer?, [UnsafeMutableRawBufferPointer])? in
      guard used == 0 || used + size <= Self.budget else { return nil }
      used += size
      if let index = free.firstIndex(where: { $0.count == size }) {
        return (free.remove(at: index), [])
      }
      // Memory of other sizes is not kept beside it.
      defer { free = [] }
      return (nil, free)
    }
    for other in stale { other.deallocate() }
    return buffer ?? allocateLarge(size)
  }

  /// Gives back what `take` returned.
  func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
    monitor.update {
      used -= buffer.count
      free.append(buffer)
    }
  }
}

extension Int {
  /// The next of 1, 1.25, 1.5, 1.75, 2, 2.5 and so on times a power of two.
  fileprivate var roundedUp: Int {
    guard self > 8 else { return 8 }
    let step = 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount - 3)
    return (self + step - 1) / step * step
  }
}

internal import ByteIO

/// The bytes of a compressed file that wait to be inflated.
struct CompressedInput: ~Copyable {
  private let file: InputFile
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
  private var range: Range<Int>

  /// Goes on with `file` after `head`, which was taken from it already.
  init(_ file: InputFile, head: [UInt8]) {
    self.file = file
    memory.copyBytes(from: head)
    range = 0..<head.count
  }

  deinit { memory.deallocate() }

  /// What waits; valid until the next call.
  var pending: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[range]) }

  /// Takes what was used.
  mutating func drop(_ count: Int) { range = range.dropFirst(count) }

  /// Reads on, where nothing waits; false at the end of the file.
  mutating func refill() throws(IOFailure) -> Bool {
    range = 0..<(try file.read(into: memory))
    return !range.isEmpty
  }

  /// Passes over zeros, as tape and disk tools leave them; the bytes behind them, `count` if there
  /// are so many, wait then.
  ///
  /// - Returns: these bytes; none at the end of the file.
  mutating func afterZeros(_ count: Int) throws(IOFailure) -> [UInt8] {
    while true {
      while let first = range.first, memory[first] == 0 { range = range.dropFirst() }
      if !range.isEmpty { break }
      if try !refill() { return [] }
    }
    if range.count < count {
      memory.copyBytes(from: Array(pending))
      range = 0..<range.count
      while range.count < count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: memory[range.count...])
        let more = try file.read(into: rest)
        if more == 0 { break }
        range = 0..<(range.count + more)
      }
    }
    return Array(pending.prefix(count))
  }
}

internal import ByteIO

/// Bytes that come one after the other.
protocol ByteStream: AnyObject {
  /// Fills part of `buffer`; returns 0 only at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
  /// What was odd about the bytes so far.
  var quirks: [String] { get }
}

extension ByteStream {
  /// Fills `buffer`; returns less only at the end.
  func readFully(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// The next `count` bytes, or fewer at the end.
  func take(_ count: Int) throws -> [UInt8] {
    // An empty array has no memory of its own, and its count is everybody's.
    if count == 0 { return [] }
    return try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = try readFully(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }
}

/// A file as it is.
final class PlainStream: ByteStream {
  private let file: InputFile
  private var head: ArraySlice<UInt8>
  let quirks: [String] = []

  /// Goes on with `file` after `head`, which was taken from it already.
  init(_ file: InputFile, head: [UInt8]) {
    self.file = file
    self.head = head[...]
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    if head.isEmpty { return try file.read(into: buffer) }
    let count = min(head.count, buffer.count)
    buffer.copyBytes(from: head.prefix(count))
    head = head.dropFirst(count)
    return count
  }
}

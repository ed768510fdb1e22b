internal import ByteIO
internal import CISAL

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
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
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

/// The contents of a gzip file of any number of members; their CRC-32 and length are checked.
final class GzipStream: ByteStream {
  private let file: InputFile
  private let state: UnsafeMutablePointer<inflate_state>
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
  private var pending = 0..<0
  private var isInMember = true
  private var isAtEnd = false
  private(set) var quirks: [String] = []

  /// Goes on with `file` after `head`, which was taken from it already and begins a member.
  init(_ file: InputFile, head: [UInt8]) {
    self.file = file
    guard let state = volpipe_inflate_new() else { fatalError("out of memory") }
    self.state = state
    volpipe_inflate_begin(state)
    input.copyBytes(from: head)
    pending = 0..<head.count
  }

  deinit {
    volpipe_inflate_free(state)
    input.deallocate()
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let output = buffer.baseAddress, !buffer.isEmpty else { return 0 }
    while !isAtEnd {
      // At the end of the file the state may still hold output that found no room before.
      let isLast = pending.isEmpty ? try !refill() : false
      if isLast && !isInMember { break }
      if !isInMember, try !beginMember() { break }
      var inputLength = UInt32(pending.count)
      var outputLength = UInt32(min(buffer.count, 1 << 30))
      var ended: Int32 = 0
      let bytes = UnsafeRawBufferPointer(rebasing: input[pending]).bindMemory(to: UInt8.self)
      let status = volpipe_inflate_step(
        state, bytes.baseAddress, &inputLength, output.assumingMemoryBound(to: UInt8.self),
        &outputLength, &ended)
      guard status >= 0 else {
        throw NIfTIError(
          file.path,
          status == ISAL_INCORRECT_CHECKSUM
            ? "its gzip data does not match its CRC-32 or length" : "its gzip data is damaged")
      }
      pending = pending.dropFirst(Int(inputLength))
      if ended != 0 { isInMember = false }
      if outputLength > 0 { return Int(outputLength) }
      if isLast && isInMember { throw NIfTIError(file.path, "its gzip data is cut off") }
    }
    return 0
  }

  private func refill() throws -> Bool {
    let count = try file.read(into: input)
    pending = 0..<count
    return count > 0
  }

  /// Begins the member that follows; false if none does.
  ///
  /// Zeros, as tape and disk tools leave them, may follow the last member; anything else is odd.
  private func beginMember() throws -> Bool {
    while true {
      while let first = pending.first, input[first] == 0 { pending = pending.dropFirst() }
      if !pending.isEmpty { break }
      if try !refill() {
        isAtEnd = true
        return false
      }
    }
    guard input[pending.lowerBound] == 0x1F else {
      isAtEnd = true
      quirks.append("bytes after the gzip data are ignored")
      return false
    }
    volpipe_inflate_begin(state)
    isInMember = true
    return true
  }
}

internal import ByteIO
internal import CISAL

/// The contents of a gzip file of any number of members; their CRC-32 and length are checked.
final class GzipStream: ByteStream {
  private let path: String
  private let state: UnsafeMutablePointer<inflate_state>
  private var input: CompressedInput
  private var isInMember = true
  private var isAtEnd = false
  private(set) var quirks: [String] = []

  /// Whether `head` begins a member: the magic, deflate, and no flag that RFC 1952 reserves.
  static func isMember(_ head: some Collection<UInt8>) -> Bool {
    let start = Array(head.prefix(4))
    return start.starts(with: [0x1F, 0x8B]) && (start.count < 3 || start[2] == 8)
      && (start.count < 4 || start[3] & 0xE0 == 0)
  }

  /// Goes on with `file` after `head`, which was taken from it already and begins a member.
  init(_ file: InputFile, head: [UInt8]) {
    path = file.path
    input = CompressedInput(file, head: head)
    guard let state = volpipe_inflate_new() else { fatalError("out of memory") }
    self.state = state
    volpipe_inflate_begin(state)
  }

  deinit { volpipe_inflate_free(state) }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let output = buffer.baseAddress, !buffer.isEmpty else { return 0 }
    while !isAtEnd {
      if !isInMember, try !beginMember() { break }
      // At the end of the file the state may still hold output that found no room before.
      let isLast = input.pending.isEmpty ? try !input.refill() : false
      let bytes = input.pending
      var inputLength = UInt32(bytes.count)
      var outputLength = UInt32(min(buffer.count, 1 << 30))
      var ended: Int32 = 0
      let status = volpipe_inflate_step(
        state, bytes.bindMemory(to: UInt8.self).baseAddress, &inputLength,
        output.assumingMemoryBound(to: UInt8.self),
        &outputLength, &ended)
      guard status >= 0 else {
        throw NIfTIError(
          path,
          status == ISAL_INCORRECT_CHECKSUM
            ? "its gzip data does not match its CRC-32 or length" : "its gzip data is damaged")
      }
      input.drop(Int(inputLength))
      if ended != 0 { isInMember = false }
      if outputLength > 0 { return Int(outputLength) }
      if isLast && isInMember { throw NIfTIError(path, "its gzip data is cut off") }
    }
    return 0
  }

  /// Begins the member that follows; false if none does.
  private func beginMember() throws -> Bool {
    let start = try input.afterZeros(2)
    guard start == [0x1F, 0x8B] else {
      isAtEnd = true
      if !start.isEmpty { quirks.append("bytes after the gzip data are ignored") }
      return false
    }
    volpipe_inflate_begin(state)
    isInMember = true
    return true
  }
}

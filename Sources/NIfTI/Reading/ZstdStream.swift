internal import ByteIO
internal import CZstd

/// The contents of a Zstandard file of any number of frames; their checksums, where they have
/// any, and lengths are checked.
///
/// Memory is that of the largest window, at most 128 MiB.
final class ZstdStream: ByteStream {
  private let path: String
  private let context: OpaquePointer
  private var input: CompressedInput
  private var isInFrame = true
  private var isAtEnd = false
  private(set) var quirks: [String] = []

  /// Whether `head` begins a frame, or one to be skipped.
  static func isFrame(_ head: some Collection<UInt8>) -> Bool {
    let magic = Array(head.prefix(4))
    guard magic.count == 4 else { return false }
    return magic == [0x28, 0xB5, 0x2F, 0xFD]
      || (magic[0] & 0xF0 == 0x50 && magic[1...] == [0x2A, 0x4D, 0x18])
  }

  /// Goes on with `file` after `head`, which was taken from it already and begins a frame.
  init(_ file: InputFile, head: [UInt8]) {
    path = file.path
    input = CompressedInput(file, head: head)
    guard let context = ZSTD_createDCtx() else { fatalError("out of memory") }
    self.context = context
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27)
  }

  deinit { ZSTD_freeDCtx(context) }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    if buffer.isEmpty { return 0 }
    while !isAtEnd {
      if !isInFrame, try !beginFrame() { break }
      // At the end of the file the context may still hold output that found no room before.
      let isLast = input.pending.isEmpty ? try !input.refill() : false
      let bytes = input.pending
      var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
      var target = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
      let wanted = ZSTD_decompressStream(context, &target, &source)
      guard ZSTD_isError(wanted) == 0 else { throw NIfTIError(path, Self.reason(wanted)) }
      input.drop(source.pos)
      if wanted == 0 { isInFrame = false }
      if target.pos > 0 { return target.pos }
      if isLast && isInFrame { throw NIfTIError(path, "its zstd data is cut off") }
    }
    return 0
  }

  private static func reason(_ code: Int) -> String {
    switch ZSTD_getErrorCode(code) {
    case ZSTD_error_checksum_wrong: "its zstd data does not match its checksum"
    case ZSTD_error_frameParameter_windowTooLarge:
      "its zstd data needs more than 128 MiB of window; compress it without --long or --ultra"
    default: "its zstd data is damaged"
    }
  }

  /// Begins the frame that follows; false if none does.
  private func beginFrame() throws -> Bool {
    let start = try input.afterZeros(4)
    guard Self.isFrame(start) else {
      isAtEnd = true
      if !start.isEmpty { quirks.append("bytes after the zstd data are ignored") }
      return false
    }
    isInFrame = true
    return true
  }
}

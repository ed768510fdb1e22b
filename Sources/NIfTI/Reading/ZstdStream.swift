internal import ByteIO
internal import CZstd

/// The contents of a Zstandard file of any number of frames; their checksums, where they have
/// any, and lengths are checked.
///
/// Memory is that of the largest window, at most 128 MiB, and is claimed before it is used.
final class ZstdStream: ByteStream {
  private static let maximumWindowLog: Int32 = 27
  /// The most bytes of a frame's header.
  private static let headerSize = 18

  private let path: String
  private let context: OpaquePointer
  private var input: CompressedInput
  private let claim: (Int) throws -> Void
  private var claimed = 0
  private var isInFrame = false
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
  ///
  /// `claim` is told how many more bytes a window will take; it may wait.
  init(_ file: InputFile, head: [UInt8], claim: @escaping (Int) throws -> Void) {
    path = file.path
    self.claim = claim
    input = CompressedInput(file, head: head)
    guard let context = ZSTD_createDCtx() else { fatalError("out of memory") }
    self.context = context
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.maximumWindowLog)
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
    let start = try input.afterZeros(Self.headerSize)
    guard Self.isFrame(start) else {
      isAtEnd = true
      if !start.isEmpty { quirks.append("bytes after the zstd data are ignored") }
      return false
    }
    // What is larger is refused, and takes nothing.
    if let window = Self.window(start), window <= 1 << Self.maximumWindowLog,
      Int(window) > claimed
    {
      try claim(Int(window) - claimed)
      claimed = Int(window)
    }
    isInFrame = true
    return true
  }

  /// How many bytes of window the frame needs whose first bytes these are; nil if it is to be
  /// skipped, or if there are too few of them.
  ///
  /// Source: RFC 8878, 3.1.1.1.
  static func window(_ start: [UInt8]) -> UInt64? {
    guard start.count > 5, start.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) else { return nil }
    let descriptor = Int(start[4])
    guard descriptor & 0x20 != 0 else {
      let base = UInt64(1) << (10 + start[5] >> 3)
      return base + base / 8 * UInt64(start[5] & 7)
    }
    // A single segment is its own window, and says its size.
    let sizeBytes = [1, 2, 4, 8][descriptor >> 6]
    let field = start.dropFirst(5 + [0, 1, 2, 4][descriptor & 3]).prefix(sizeBytes)
    guard field.count == sizeBytes else { return nil }
    let size = field.reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return sizeBytes == 2 ? size + 256 : size
  }
}

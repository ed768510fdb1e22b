internal import CZstd

/// Whole Zstandard frames with content size and checksum: blobs and blocks of a catalog.
package enum Zstandard {
  /// The frame of `bytes`.
  package static func compress(_ bytes: UnsafeRawBufferPointer, level: Int = 3) -> [UInt8] {
    guard let context = ZSTD_createCCtx() else { fatalError("out of memory") }
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    let bound = ZSTD_compressBound(bytes.count)
    return [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
      count = ZSTD_compress2(context, buffer.baseAddress, bound, bytes.baseAddress, bytes.count)
      precondition(ZSTD_isError(count) == 0, "zstd cannot compress into the room it asked for")
    }
  }

  /// Whether these bytes are one frame and nothing behind it; the decoder takes several for one.
  package static func isOne(_ frame: UnsafeRawBufferPointer) -> Bool {
    ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count) == frame.count
  }

  /// The `size` bytes that `frame` holds, or nil if it does not hold just that many, whole.
  ///
  /// `size` must have been checked against a limit before.
  package static func decompress(_ frame: UnsafeRawBufferPointer, size: Int) -> [UInt8]? {
    // Bit 2 of the descriptor: the frame ends in a checksum, without which damage goes unseen.
    guard frame.count > 5, frame[4] & 4 != 0,
      ZSTD_getFrameContentSize(frame.baseAddress, frame.count) == UInt64(size), isOne(frame)
    else { return nil }
    var isWhole = false
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      let length = ZSTD_decompress(buffer.baseAddress, size, frame.baseAddress, frame.count)
      isWhole = ZSTD_isError(length) == 0 && length == size
      count = isWhole ? size : 0
    }
    return isWhole ? bytes : nil
  }
}

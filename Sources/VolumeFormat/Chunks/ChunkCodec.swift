internal import ByteIO
internal import CZstd

/// Encodes and decodes chunks: a Blosc1 frame around one Zstandard frame; see vol-dataset(5).
///
/// Holds codec contexts and buffers of a chunk's size; not to be shared between threads.
public final class ChunkCodec {
  /// Bytes of Blosc framing before the Zstandard frame.
  public static let framing = 24

  private let compressor: OpaquePointer
  private let decompressor: OpaquePointer
  private let shuffled = ScratchBuffer()
  private let encoded = ScratchBuffer()

  /// Makes the contexts.
  public init() {
    guard let compressor = ZSTD_createCCtx(), let decompressor = ZSTD_createDCtx() else {
      fatalError("out of memory")
    }
    self.compressor = compressor
    self.decompressor = decompressor
  }

  /// Gives back memory that a large chunk took.
  package func trim() {
    shuffled.trim()
    encoded.trim()
  }

  deinit {
    ZSTD_freeCCtx(compressor)
    ZSTD_freeDCtx(decompressor)
  }

  /// Appends the encoded form of `chunk` to `result`, or nothing if all its bytes are zero.
  ///
  /// - Parameters:
  ///   - chunk: full-size chunk, little-endian.
  ///   - valueSize: bytes a value, 1 to 16; `chunk` holds a whole number of them.
  ///   - shuffle: whether bytes are shuffled before compression.
  ///   - level: Zstandard level.
  ///   - result: what the chunk is appended to.
  /// - Returns: bytes appended; 0 for a chunk of zeros.
  public func encode(
    _ chunk: UnsafeRawBufferPointer, valueSize: Int, shuffle: Bool, level: Int,
    appendingTo result: inout [UInt8]
  ) -> Int {
    guard let base = chunk.baseAddress, !isZero(chunk) else { return 0 }
    precondition(chunk.count <= ChunkGrid.maximumChunkBytes && chunk.count % valueSize == 0)
    let isShuffled = shuffle && valueSize > 1
    var input = base
    if isShuffled {
      let target = shuffled.room(chunk.count)
      Shuffle.apply(from: base, to: target, count: chunk.count / valueSize, size: valueSize)
      input = UnsafeRawPointer(target)
    }
    let bound = ZSTD_compressBound(chunk.count) + 64  // a further block's header
    let output = encoded.room(Self.framing + bound)
    var length = compress(input, chunk.count, output + Self.framing, bound, level: level)
    // Blosc would take a frame of just the chunk's length for stored bytes. A block of its own for
    // the first bytes makes the frame another length.
    var first = 0
    while length == chunk.count {
      first += 1
      precondition(first < chunk.count, "no frame of another length")
      length = compress(
        input, chunk.count, output + Self.framing, bound, level: level, firstBlock: first)
    }
    let frame = UnsafeMutableRawBufferPointer(start: output, count: Self.framing + length)
    frame[0] = 2
    frame[1] = 1
    frame[2] = isShuffled ? 0x91 : 0x90
    frame[3] = UInt8(valueSize)
    frame.storeLittle(UInt32(chunk.count), at: 4)
    frame.storeLittle(UInt32(chunk.count), at: 8)
    frame.storeLittle(UInt32(frame.count), at: 12)
    frame.storeLittle(UInt32(20), at: 16)
    frame.storeLittle(UInt32(length), at: 20)
    result.append(contentsOf: UnsafeRawBufferPointer(frame))
    return frame.count
  }

  /// Decodes one chunk.
  ///
  /// - Parameters:
  ///   - encoded: what `encode` appended; empty for a chunk of zeros.
  ///   - valueSize: bytes a value.
  ///   - shuffle: as it was encoded; the chunk's own word for it has no checksum.
  ///   - target: exactly the size of a chunk.
  /// - Returns: what is wrong with the bytes, or nil. `target` is then not to be used.
  public func decode(
    _ encoded: UnsafeRawBufferPointer, valueSize: Int, shuffle: Bool,
    into target: UnsafeMutableRawBufferPointer
  ) -> String? {
    guard let out = target.baseAddress else { return "a chunk of no bytes" }
    switch decode(encoded, valueSize: valueSize, shuffle: shuffle, count: target.count) {
    case .defect(let reason): return reason
    case .zeros: target.initializeMemory(as: UInt8.self, repeating: 0)
    case .values(let plain): out.copyMemory(from: plain, byteCount: target.count)
    case .planes(let plain):
      Shuffle.undo(from: plain, to: out, count: target.count / valueSize, size: valueSize)
    }
    return nil
  }

  /// What a chunk decodes to; pointers are to the codec's own memory, until its next use.
  package enum Plain {
    /// All bytes are zero.
    case zeros
    /// Values, as they are.
    case values(UnsafeRawPointer)
    /// The bytes of values, shuffled.
    case planes(UnsafeRawPointer)
    /// Nothing: what is wrong with the bytes.
    case defect(String)
  }

  /// Decodes one chunk of `count` bytes; else as above.
  package func decode(
    _ encoded: UnsafeRawBufferPointer, valueSize: Int, shuffle: Bool, count: Int
  ) -> Plain {
    if encoded.isEmpty { return .zeros }
    let isShuffled = shuffle && valueSize > 1
    guard encoded.count > Self.framing, encoded[0] == 2, encoded[1] == 1,
      encoded[2] == (isShuffled ? 0x91 : 0x90), Int(encoded[3]) == valueSize,
      encoded.loadLittle(4, as: UInt32.self) == UInt32(count),
      encoded.loadLittle(8, as: UInt32.self) == UInt32(count),
      encoded.loadLittle(12, as: UInt32.self) == UInt32(encoded.count),
      encoded.loadLittle(16, as: UInt32.self) == 20,
      encoded.loadLittle(20, as: UInt32.self) == UInt32(encoded.count - Self.framing)
    else { return .defect("the framing of the chunk is wrong") }
    let frame = UnsafeRawBufferPointer(rebasing: encoded[Self.framing...])
    // Bit 2 of the descriptor: the frame ends in a checksum, without which damage goes unseen.
    guard frame.count > 5, frame.loadLittle(0, as: UInt32.self) == 0xFD2F_B528, frame[4] & 4 != 0,
      Zstandard.isOne(frame)
    else { return .defect("the chunk is not a Zstandard frame with a checksum") }
    let plain = shuffled.room(count)
    let length = ZSTD_decompressDCtx(
      decompressor, plain, count, frame.baseAddress, frame.count)
    guard ZSTD_isError(length) == 0 else {
      let name = String(cString: ZSTD_getErrorName(length)).lowercased()
      return .defect("the chunk does not decode: \(name)")
    }
    guard length == count else { return .defect("the chunk decodes to too few bytes") }
    return isShuffled ? .planes(plain) : .values(plain)
  }

  /// Compresses into one frame; its first block holds `firstBlock` bytes if that is not 0.
  private func compress(
    _ input: UnsafeRawPointer, _ count: Int, _ output: UnsafeMutableRawPointer, _ room: Int,
    level: Int, firstBlock: Int = 0
  ) -> Int {
    ZSTD_CCtx_reset(compressor, ZSTD_reset_session_and_parameters)
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, Int32(level))
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1)
    if level == 1 {
      // Short matches in noisy low bytes cost more time than they save room: on real CT 1.4 times
      // as fast for 0.7 % more, on T1 1.1 times for 0.5 %.
      ZSTD_CCtx_setParameter(compressor, ZSTD_c_minMatch, 7)
      ZSTD_CCtx_setParameter(compressor, ZSTD_c_hashLog, 12)
    }
    if firstBlock == 0 {
      let length = ZSTD_compress2(compressor, output, room, input, count)
      precondition(ZSTD_isError(length) == 0, "zstd cannot compress into the room it asked for")
      return length
    }
    ZSTD_CCtx_setPledgedSrcSize(compressor, UInt64(count))
    var source = ZSTD_inBuffer(src: input, size: firstBlock, pos: 0)
    var target = ZSTD_outBuffer(dst: output, size: room, pos: 0)
    while ZSTD_compressStream2(compressor, &target, &source, ZSTD_e_flush) != 0 {}
    source.size = count
    while ZSTD_compressStream2(compressor, &target, &source, ZSTD_e_end) != 0 {}
    return target.pos
  }
}

/// Memory that grows to what was asked of it and is used again.
package final class ScratchBuffer {
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  package init() {}

  deinit { buffer.deallocate() }

  /// Gives back what is more than `maximum` bytes.
  package func trim(to maximum: Int = 1 << 20) {
    guard buffer.count > maximum else { return }
    buffer.deallocate()
    buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  /// Just `count` bytes, whose contents are anything.
  package func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: room(count), count: count)
  }

  /// At least `count` bytes, whose contents are anything.
  package func room(_ count: Int) -> UnsafeMutableRawPointer {
    if let base = buffer.baseAddress, buffer.count >= count { return base }
    buffer.deallocate()
    buffer = .allocate(byteCount: max(count, 4096), alignment: 64)
    guard let base = buffer.baseAddress else { fatalError("out of memory") }
    return base
  }
}

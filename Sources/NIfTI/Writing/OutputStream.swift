internal import ByteIO
internal import CZlib

/// Where a NIfTI file is written: as it is, or through gzip.
final class OutputStream {
  private let file: OutputFile
  private var deflater: UnsafeMutablePointer<z_stream>?
  private var buffer: [UInt8] = []

  /// Writes to `file`; through gzip at `level` 1 to 9 if it is given.
  init(_ file: OutputFile, gzip level: Int?) {
    self.file = file
    guard let level else { return }
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    guard volpipe_deflate_gzip_init(stream, Int32(level)) == Z_OK else {
      fatalError("out of memory")
    }
    deflater = stream
    buffer = [UInt8](repeating: 0, count: 1 << 18)
  }

  deinit {
    if let deflater {
      deflateEnd(deflater)
      deflater.deallocate()
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    if deflater == nil { return try file.write(bytes) }
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + (1 << 30))
      try deflate(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), Z_NO_FLUSH)
      start = end
    }
  }

  /// Writes what is still held.
  func finish() throws {
    if deflater != nil { try deflate(UnsafeRawBufferPointer(start: nil, count: 0), Z_FINISH) }
  }

  private func deflate(_ bytes: UnsafeRawBufferPointer, _ flush: Int32) throws {
    guard let deflater else { return }
    deflater.pointee.next_in = UnsafeMutablePointer(
      mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
    deflater.pointee.avail_in = UInt32(bytes.count)
    var status = Z_OK
    repeat {
      let count = buffer.withUnsafeMutableBytes { target in
        deflater.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
        deflater.pointee.avail_out = UInt32(target.count)
        status = CZlib.deflate(deflater, flush)
        return target.count - Int(deflater.pointee.avail_out)
      }
      precondition(status != Z_STREAM_ERROR, "zlib lost its state")
      try buffer.withUnsafeBytes {
        try file.write(UnsafeRawBufferPointer(rebasing: $0[..<count]))
      }
    } while flush == Z_FINISH
      ? status != Z_STREAM_END : deflater.pointee.avail_in > 0 || deflater.pointee.avail_out == 0
  }
}

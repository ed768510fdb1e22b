public import ByteIO

/// Writes a frame stream, one volume after the other.
///
/// Small frames are gathered and written together; data is passed on without being copied.
/// The calls must come in the order of vol-frames(5): `open`, `extra`, `data`, `extra`, then
/// `close` or `drop`; and `end` last.
public final class FrameWriter {
  private let output: OutputFile
  private var pending: [UInt8] = []
  private var volumes: UInt64 = 0
  private var dropped: UInt64 = 0
  private var crc = CRC32()
  /// CRC-32 of the present volume's voxels so far.
  public var voxelCRC: UInt32 { crc.value }
  private var expected: UInt64 = 0
  private var written: UInt64 = 0
  private var voxelBytes = 1

  /// Writes to `output`.
  public init(_ output: OutputFile) {
    self.output = output
    output.widenPipe()
  }

  /// Begins a volume.
  ///
  /// - Parameters:
  ///   - header: the volume's; must be one that a reader accepts.
  ///   - json: the header as it came in a frame, to be passed on as it is; else it is encoded.
  /// - Throws: `FormatError` for a header that no reader would accept, or over 4 MiB; `IOFailure`.
  public func open(_ header: VolumeHeader, json: [UInt8]? = nil) throws {
    if let defect = header.defect() { throw FormatError(header.label, defect) }
    let json = json ?? JSON.encode(header.json)
    guard json.count <= Frame.maximumHeader else {
      throw FormatError(header.label, "its header is over 4 MiB as JSON")
    }
    crc = CRC32()
    expected = header.byteCount
    voxelBytes = header.voxelBytes
    written = 0
    try frame(.open, header: json)
  }

  /// Passes on source bytes that are not voxels; at most 16 MiB.
  ///
  /// - Throws: `IOFailure` if it cannot be written.
  public func extra(_ bytes: UnsafeRawBufferPointer) throws {
    if bytes.isEmpty { return }
    try frame(.extra, body: bytes)
  }

  /// Passes on voxels, in pieces of at most 1 MiB.
  ///
  /// - Throws: `IOFailure` if it cannot be written.
  public func data(_ bytes: UnsafeRawBufferPointer) throws {
    var offset = 0
    while offset < bytes.count {
      let end = min(bytes.count, offset + (1 << 20))
      let piece = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
      // One look at the bytes serves the frame's checksum and the volume's.
      let pieceCRC = try frame(.data, body: piece)
      crc.append(pieceCRC, count: piece.count)
      offset = end
    }
    written += UInt64(bytes.count)
  }

  /// Ends a volume whose voxels are all there.
  ///
  /// - Parameters:
  ///   - quirks: what only the end of its source showed.
  ///   - json: the header of a close frame as it came, to be passed on as it is.
  /// - Throws: `IOFailure`.
  public func close(quirks: [ExactString] = [], json: [UInt8]? = nil) throws {
    precondition(written == expected, "a volume's voxels do not add up to its shape")
    let voxels = written / UInt64(voxelBytes)
    let close = Frame.Close(voxels: voxels, crc32: crc.value, quirks: quirks)
    try frame(.close, header: json ?? JSON.encode(close.json))
    volumes += 1
  }

  /// Takes a volume back.
  ///
  /// - Throws: `IOFailure` if it cannot be written.
  public func drop(reason: String) throws {
    let reason = ExactString(bounded(reason, 4096))
    try frame(.drop, header: JSON.encode(["reason": .string(reason)]))
    dropped += 1
  }

  /// Ends the stream.
  ///
  /// - Parameters:
  ///   - skipped: counts sources given up before they were opened.
  ///   - others: further members of the end frame's header.
  /// - Throws: `IOFailure`.
  public func end(skipped: UInt64 = 0, others: JSONObject = JSONObject()) throws {
    let end = Frame.End(volumes: volumes, dropped: dropped, skipped: skipped)
    try frame(.end, header: JSON.encode(end.json(others)))
    try flush()
    volumes = 0
    dropped = 0
  }

  /// Writes one frame; returns the checksum of its body.
  @discardableResult
  private func frame(
    _ kind: Frame.Kind, header: [UInt8] = [],
    body: UnsafeRawBufferPointer = .init(start: nil, count: 0)
  ) throws -> CRC32 {
    var bodyCRC = CRC32()
    bodyCRC.update(body)
    let prelude = header.withUnsafeBytes {
      Frame.prelude(kind, header: $0, bodyCRC: bodyCRC, bodyCount: body.count)
    }
    pending += prelude
    pending += header
    if body.count >= 1 << 16 {
      try pending.withUnsafeBytes { try output.write($0, body) }
      pending.removeAll(keepingCapacity: true)
    } else {
      pending += body
      if pending.count >= 1 << 17 { try flush() }
    }
    return bodyCRC
  }

  private func flush() throws {
    try pending.withUnsafeBytes { try output.write($0) }
    pending.removeAll(keepingCapacity: true)
  }
}

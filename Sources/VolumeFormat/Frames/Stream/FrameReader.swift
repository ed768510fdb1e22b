public import ByteIO

/// Reads a frame stream, pulling one frame at a time, and checks all that vol-frames(5) demands.
///
/// After `next` has returned `.data` or `.extra`, the caller takes the body with `readBody` until
/// `bodyRemaining` is 0, straight into its own memory; the frame's checksum is compared with the
/// last of it. Nothing of a volume is held here.
public final class FrameReader {
  /// What the stream holds next.
  public enum Event {
    /// A volume begins.
    case open(VolumeHeader)
    /// Source bytes that are not voxels; `afterVoxels` tells on which side of them they belong.
    case extra(afterVoxels: Bool)
    /// Voxels.
    case data
    /// The volume is whole; the CRC-32 of its voxels, and quirks that only its end showed.
    case close(crc32: UInt32, quirks: [ExactString])
    /// The producer took the volume back.
    case drop(reason: String)
    /// A stream ended; another may follow. `skipped` sources were given up before they began.
    case end(skipped: UInt64)
  }

  /// Bytes of the current frame's body that were not taken yet.
  public private(set) var bodyRemaining = 0
  /// Offset in the stream of the frame that `next` returned last.
  public private(set) var frameOffset: UInt64 = 0
  /// The header of the frame that `next` returned last, as it came.
  public private(set) var frameHeader: [UInt8] = []
  /// A name for messages.
  public var source: String { input.path }

  private enum State {
    case start, between, before, voxels, after
  }

  private let input: InputFile
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)
  private var buffered = 0..<0
  private var offset: UInt64 = 0

  private var state = State.start
  private var atEnd = false  // the frame before was an end frame
  private var frameCRC = CRC32()
  private var expectedCRC: UInt32 = 0
  private var bodyIsVoxels = false
  private var voxelCRC = CRC32()
  private var voxelBytesLeft: UInt64 = 0
  private var header = VolumeHeader(name: nil, shape: [], dtype: .uint8)
  private var extras = 0
  private var volumes: UInt64 = 0
  private var dropped: UInt64 = 0

  /// Reads from `input`.
  public init(_ input: InputFile) {
    self.input = input
    input.widenPipe()
  }

  deinit { buffer.deallocate() }

  /// The next frame, or nil at the end of the last stream.
  ///
  /// What is left of the current frame's body is read and checked first.
  ///
  /// - Throws: `FormatError` with the offset of the frame at fault; `IOFailure`.
  public func next() throws -> Event? {
    try skipBody()
    frameOffset = offset
    guard let (kind, json) = try readFrameStart() else { return nil }
    switch kind {
    case .open: return try open(json)
    case .data:
      guard state == .before || state == .voxels else { throw misplaced("a data frame") }
      state = .voxels
      guard UInt64(bodyRemaining) <= voxelBytesLeft else {
        throw bad("more voxels than \(header.shape) of \(header.dtype.rawValue) holds")
      }
      voxelBytesLeft -= UInt64(bodyRemaining)
      return .data
    case .extra:
      guard state != .start, state != .between else { throw misplaced("an extra frame") }
      if state == .voxels {
        guard voxelBytesLeft == 0 else { throw misplaced("an extra frame among the voxels") }
        state = .after
      }
      extras += 1
      guard extras <= Frame.maximumExtras else { throw bad("over 65,535 extra frames") }
      return .extra(afterVoxels: state == .after)
    case .close: return try close(json)
    case .drop:
      guard state != .start, state != .between else { throw misplaced("a drop frame") }
      state = .between
      dropped += 1
      return .drop(reason: try parse(json).required("reason").string().string)
    case .end: return try end(json)
    }
  }

  /// Takes up to `target.count` bytes of the current frame's body.
  ///
  /// - Returns: how many were taken; 0 only if `bodyRemaining` is 0.
  /// - Throws: `FormatError` that names the offset; `IOFailure`.
  public func readBody(into target: UnsafeMutableRawBufferPointer) throws -> Int {
    let wanted = UnsafeMutableRawBufferPointer(
      rebasing: target[..<min(target.count, bodyRemaining)])
    if wanted.isEmpty { return 0 }
    try readExactly(wanted)
    let bytes = UnsafeRawBufferPointer(wanted)
    // One look at the bytes serves the frame's checksum and the volume's.
    var crc = CRC32()
    crc.update(bytes)
    frameCRC.append(crc, count: bytes.count)
    if bodyIsVoxels { voxelCRC.append(crc, count: bytes.count) }
    bodyRemaining -= bytes.count
    if bodyRemaining == 0 { try checkFrameCRC() }
    return bytes.count
  }

  /// All that is left of the current frame's body; at most 16 MiB.
  ///
  /// - Throws: `FormatError` that names the offset; `IOFailure`.
  public func readWholeBody() throws -> [UInt8] {
    var body = [UInt8](repeating: 0, count: bodyRemaining)
    try body.withUnsafeMutableBytes { _ = try readBody(into: $0) }
    return body
  }

  private func skipBody() throws {
    guard bodyRemaining > 0 else { return }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { scratch.deallocate() }
    while bodyRemaining > 0 { _ = try readBody(into: scratch) }
  }

  /// The header of the end frame that `next` returned last, as JSON.
  ///
  /// - Throws: `FormatError` that names the offset; `IOFailure`.
  public func endHeader() throws(FormatError) -> JSONObject {
    try parse(frameHeader).objectValue()
  }

  // MARK: Kinds

  private func open(_ json: [UInt8]) throws -> Event {
    guard state == .start || state == .between else {
      throw misplaced("an open frame (was a producer killed?)")
    }
    let header = try openHeader(json)
    if let defect = header.defect() { throw bad("'\(header.label)': \(defect)") }
    self.header = header
    voxelBytesLeft = header.byteCount
    voxelCRC = CRC32()
    extras = 0
    state = .before
    return .open(header)
  }

  private func close(_ json: [UInt8]) throws -> Event {
    guard state != .start, state != .between else { throw misplaced("a close frame") }
    let close = try Frame.Close(parse(json))
    guard voxelBytesLeft == 0 else {
      throw bad(
        "\(voxelBytesLeft) bytes of voxels are missing from \(header.shape) of "
          + header.dtype.rawValue)
    }
    guard close.voxels == header.voxelCount else {
      throw bad("the close frame counts \(close.voxels) voxels, not \(header.voxelCount)")
    }
    guard close.crc32 == voxelCRC.value else { throw bad("the voxels do not match their CRC-32") }
    state = .between
    volumes += 1
    return .close(crc32: close.crc32, quirks: close.quirks)
  }

  private func end(_ json: [UInt8]) throws -> Event {
    guard state == .start || state == .between else {
      throw misplaced("an end frame inside a volume")
    }
    let end = try Frame.End(parse(json))
    guard end.volumes == volumes, end.dropped == dropped else {
      throw bad(
        "the end frame counts \(end.volumes) volumes and \(end.dropped) dropped ones, the stream "
          + "holds \(volumes) and \(dropped)")
    }
    guard end.skipped <= VolumeHeader.maximumBytes else {
      throw bad("the end frame counts \(end.skipped) skipped sources")
    }
    volumes = 0
    dropped = 0
    state = .start
    atEnd = true
    return .end(skipped: end.skipped)
  }

  /// Decodes an open frame's header; a key that is there twice is told as a quirk.
  private func openHeader(_ json: [UInt8]) throws(FormatError) -> VolumeHeader {
    let node = try parse(json)
    var header = try VolumeHeader(node)
    if let key = try node.firstRepeatedKey() {
      let quirk = ExactString("the key '\(key)' is there twice, the last counts")
      header.quirks = (header.quirks ?? []) + [quirk]
    }
    return header
  }

  // MARK: Bytes

  private func readFrameStart() throws -> (Frame.Kind, [UInt8])? {
    var prelude = [UInt8](repeating: 0, count: Frame.preludeSize)
    let count = try prelude.withUnsafeMutableBytes { try read(upTo: $0) }
    if count == 0, atEnd { return nil }
    guard count == Frame.preludeSize else {
      throw FormatError(
        source, at: offset,
        offset == 0
          ? "the stream is empty; its producer did not finish"
          : "the stream ends without its end frame; its producer did not finish" + inVolume)
    }
    atEnd = false
    guard prelude.loadLittle(0, as: UInt32.self) == Frame.magic else {
      throw bad("no frame begins here; is this the output of nifti-cat or vol-cat?")
    }
    guard prelude[4] == Frame.version else {
      throw bad("version \(prelude[4]) of the frame format; this program knows version 1")
    }
    guard let kind = Frame.Kind(rawValue: prelude[5]), prelude[6] == 0, prelude[7] == 0 else {
      throw bad("unknown kind of frame \(prelude[5])")
    }
    let headerLength = Int(prelude.loadLittle(8, as: UInt32.self))
    let bodyLength = Int(prelude.loadLittle(12, as: UInt32.self))
    let takesBody = kind == .data || kind == .extra
    guard headerLength <= Frame.maximumHeader, bodyLength <= Frame.maximumBody,
      takesBody == (bodyLength > 0), takesBody == (headerLength == 0)
    else {
      throw bad("a frame of \(headerLength) header and \(bodyLength) body bytes")
    }
    expectedCRC = prelude.loadLittle(16, as: UInt32.self)
    frameCRC = CRC32()
    prelude.withUnsafeBytes { frameCRC.update(UnsafeRawBufferPointer(rebasing: $0[..<16])) }
    var json = [UInt8](repeating: 0, count: headerLength)
    try json.withUnsafeMutableBytes { try readExactly($0) }
    json.withUnsafeBytes { frameCRC.update($0) }
    frameHeader = json
    bodyRemaining = bodyLength
    bodyIsVoxels = kind == .data
    if bodyLength == 0 { try checkFrameCRC() }
    return (kind, json)
  }

  private func checkFrameCRC() throws {
    guard frameCRC.value == expectedCRC else { throw bad("a frame does not match its CRC-32") }
  }

  private func parse(_ json: [UInt8]) throws(FormatError) -> JSONNode {
    try JSONDocument(json, in: source, at: frameOffset).root
  }

  private func bad(_ reason: String) -> FormatError {
    let isInVolume = state != .start && state != .between
    return FormatError(
      source, at: frameOffset, isInVolume ? "volume '\(header.label)': \(reason)" : reason)
  }

  private var inVolume: String {
    state == .start || state == .between ? "" : " (in volume '\(header.label)')"
  }

  private func misplaced(_ what: String) -> FormatError { bad("\(what) is out of place") }

  private func readExactly(_ target: UnsafeMutableRawBufferPointer) throws {
    guard try read(upTo: target) == target.count else {
      throw FormatError(
        source, at: offset, "the stream ends inside a frame; its producer did not finish" + inVolume
      )
    }
  }

  /// Fills `target`; returns less only at the end of the stream.
  private func read(upTo target: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    while filled < target.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
      if !buffered.isEmpty {
        let count = min(rest.count, buffered.count)
        rest.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: buffer[buffered.prefix(count)]))
        buffered = buffered.dropFirst(count)
        filled += count
      } else if rest.count >= buffer.count {
        // A large body goes straight to where it belongs.
        let count = try input.read(into: rest)
        if count == 0 { break }
        filled += count
      } else {
        let count = try input.read(into: buffer)
        if count == 0 { break }
        buffered = 0..<count
      }
    }
    offset += UInt64(filled)
    return filled
  }
}

internal import ByteIO
internal import SystemPackage
public import Frames

/// One volume's file or files, open and with the header read; the voxels follow on demand.
///
/// Memory does not depend on what the header declares.
public final class NIfTIFile {
  /// Source bytes before the voxels are handed on in pieces of this size.
  private static let extraPiece = 1 << 20
  /// Extensions are checked as far as this.
  private static let maximumHeld = 16 << 20
  /// Source bytes that are held without a claim.
  private static let smallHeld = 1 << 16
  /// How often others are claimed: they are read, joined and cut into pieces.
  private static let copies = 3

  /// What the frame header says.
  public private(set) var header: VolumeHeader
  /// The bytes before the voxels, without those of `bytesToPass`.
  private var held: [UInt8]
  /// How many more bytes before the voxels are still in `voxels`.
  private var bytesToPass: UInt64
  private let voxels: any ByteStream
  private let byteCount: UInt64
  private let swapSize: Int
  private let isGuessed: Bool
  private let voxelPath: String

  /// Opens a volume and reads its header.
  ///
  /// - Parameters:
  ///   - source: its files.
  ///   - claim: is told how many bytes it will hold that are many, before it does; it may wait, for
  ///     those who read many files at once.
  /// - Throws: `NIfTIError` for what is refused; `IOFailure`; what `claim` throws.
  public init(_ source: SourcePath, claim: @escaping (Int) throws -> Void = { _ in }) throws {
    let path = source.isStandardInput ? StandardStream.inputName : source.header.string
    // What is wrong with the voxels is wrong with the file that they are in.
    voxelPath = source.image?.string ?? path
    // A pipe that the shell made is waited for.
    let file =
      source.isPipeOfShell
      ? try InputFile(operand: source.header) : try FoundFile.open(source.header)
    var (stream, compression, size) = try Self.open(file, claim: claim)
    var bytes = try stream.take(NIfTIHeader.prefixSize)
    guard !bytes.isEmpty else { throw NIfTIError(path, "the file is empty") }
    if !NIfTIHeader.hasMagic(bytes), let what = ForeignFormat.description(of: bytes) {
      throw NIfTIError(path, what)
    }
    guard let headerSize = NIfTIHeader.size(of: bytes) else {
      throw NIfTIError(path, "\(bytes.count) bytes are too few for a NIfTI file")
    }
    bytes += try stream.take(headerSize - bytes.count)
    guard bytes.count == headerSize else {
      throw NIfTIError(path, "\(bytes.count) bytes are too few for a NIfTI-2 file")
    }
    let header = try NIfTIHeader(bytes, path: path)
    let layout = try VoxelLayout(header, path: path)
    var quirks: [String] = []
    var headerFileBytes: UInt64?
    var offset: UInt64
    if header.isPair {
      guard let image = source.image else {
        throw NIfTIError(
          path,
          header.format == .analyze75
            ? "not a NIfTI file" : "its magic says that the voxels are in an .img file")
      }
      bytes += try Self.rest(of: stream, path, after: bytes.count, claim: claim)
      headerFileBytes = UInt64(bytes.count)
      quirks += stream.quirks
      (stream, compression, size) = try Self.open(
        FoundFile.open(image), plainSize: Self.end(header, layout), claim: claim)
      offset = try Self.offset(header, layout, path, size, least: 0, &quirks)
      bytesToPass = offset
    } else {
      if source.image != nil {
        throw NIfTIError(path, "its magic says that the voxels are in the same file")
      }
      offset = try Self.offset(
        header, layout, path, size, least: UInt64(header.minimumOffset), &quirks)
      bytesToPass = offset - UInt64(headerSize)
    }
    if let size, size < offset || size - offset < layout.byteCount {
      throw NIfTIError(
        voxelPath,
        size < offset
          ? "vox_offset \(offset) is past its end"
          : "\(layout.byteCount - (size - offset)) of \(layout.byteCount) bytes of voxels are "
            + "missing")
    }
    if let size, layout.isGuessed, size - offset != layout.byteCount {
      throw NIfTIError(voxelPath, "a dimension is 0 or less, and its size does not fit")
    }
    // The extensions are looked through before the volume is announced with its quirks.
    if !header.isPair {
      let count = Int(min(bytesToPass, UInt64(Self.maximumHeld)))
      if count > Self.smallHeld { try claim(Self.copies * count) }
      let more = try stream.take(count)
      guard more.count == count else {
        throw NIfTIError(path, "it ends before vox_offset \(offset)")
      }
      bytes += more
      bytesToPass -= UInt64(count)
    }
    if bytesToPass == 0 || header.isPair {
      if let quirk = Self.extensionQuirk(bytes, header) { quirks.append(quirk) }
    }
    held = bytes
    voxels = stream
    byteCount = layout.byteCount
    isGuessed = layout.isGuessed
    swapSize = header.isBigEndian ? layout.dtype.swapSize : 1
    self.header = VolumeHeader(
      header, layout: layout, name: ExactString(source.name),
      source: VolumeHeader.Source(
        format: ExactString(header.format.rawValue), path: ExactString(source.known.string),
        byteOrder: header.isBigEndian ? "big" : "little",
        layout: header.isPair ? "pair" : "single", compression: ExactString(compression),
        header: Array(bytes.prefix(headerSize)), headerBytes: headerFileBytes),
      quirks: quirks)
  }

  /// Hands on everything that a frame stream carries of this volume, in order.
  ///
  /// - Parameters:
  ///   - extra: gets the source bytes that are not voxels, first those before them.
  ///   - data: fills in voxels, little-endian, through the memory that it is given.
  /// - Returns: quirks that only the end of the file showed.
  /// - Throws: `NIfTIError` if the file is cut off or damaged; `IOFailure`; what the closures throw.
  public func pass(
    extra: (UnsafeRawBufferPointer) throws -> Void,
    data: (_ fill: (UnsafeMutableRawBufferPointer) throws -> Int) throws -> Void
  ) throws -> [String] {
    for start in stride(from: 0, to: held.count, by: Self.extraPiece) {
      let end = min(held.count, start + Self.extraPiece)
      try held[start..<end].withUnsafeBytes { try extra($0) }
    }
    held = []
    try passBytes(bytesToPass, extra)
    var left = byteCount
    while left > 0 {
      try data { target in
        // Pieces end between values, so that each can be swapped by itself.
        let room = min(UInt64(target.count / 16 * 16), left)
        let piece = UnsafeMutableRawBufferPointer(rebasing: target[..<Int(room)])
        guard try voxels.readFully(into: piece) == piece.count else {
          throw NIfTIError(voxelPath, "it ends before its \(byteCount) bytes of voxels do")
        }
        swapValues(piece, size: swapSize)
        left -= room
        return piece.count
      }
    }
    try passBytes(nil) { bytes in
      guard !isGuessed else {
        throw NIfTIError(voxelPath, "a dimension is 0 or less, and its size does not fit")
      }
      try extra(bytes)
    }
    return voxels.quirks
  }

  /// Hands on `count` bytes, or all that is left.
  private func passBytes(
    _ count: UInt64?, _ extra: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var left = count ?? .max
    // Mostly nothing is left, which a small piece shows as well as a large one.
    var size = count == nil ? 4096 : Self.extraPiece
    while left > 0 {
      let piece = try voxels.take(Int(min(left, UInt64(size))))
      size = Self.extraPiece
      if piece.isEmpty {
        if count == nil { return }
        throw NIfTIError(voxelPath, "it ends before its voxels begin")
      }
      try piece.withUnsafeBytes { try extra($0) }
      left -= UInt64(piece.count)
    }
  }

  // MARK: Opening

  /// Looks at the first bytes of a file: its contents, how they are compressed, and their length
  /// where it is known.
  ///
  /// A file of just `plainSize` bytes is not compressed: voxels may begin like anything.
  private static func open(
    _ file: InputFile, plainSize: UInt64? = nil, claim: @escaping (Int) throws -> Void
  ) throws -> (any ByteStream, String, UInt64?) {
    file.widenPipe()
    var head = [UInt8](repeating: 0, count: 1 << 16)
    var count = 0
    while count < 4 {
      let more = try head.withUnsafeMutableBytes {
        try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
      }
      if more == 0 { break }
      count += more
    }
    head.removeSubrange(count...)
    let size = try file.size()
    if plainSize == nil || size != plainSize {
      if GzipStream.isMember(head) { return (GzipStream(file, head: head), "gzip", nil) }
      if ZstdStream.isFrame(head) {
        return (ZstdStream(file, head: head, claim: claim), "zstd", nil)
      }
    }
    return (PlainStream(file, head: head), "none", size)
  }

  /// Where the voxels of a pair end in their file, if its header is right.
  private static func end(_ header: NIfTIHeader, _ layout: VoxelLayout) -> UInt64? {
    guard header.voxOffset >= 0, header.voxOffset < 0x1p62 else { return nil }
    return UInt64(header.voxOffset) + layout.byteCount
  }

  /// All that is left of a pair's header file.
  private static func rest(
    of stream: any ByteStream, _ path: String, after taken: Int, claim: (Int) throws -> Void
  ) throws -> [UInt8] {
    var bytes = try stream.take(smallHeld)
    guard bytes.count == smallHeld else { return bytes }
    try claim(copies * maximumHeld)
    bytes += try stream.take(maximumHeld - taken - smallHeld)
    if bytes.count == maximumHeld - taken, try !stream.take(1).isEmpty {
      throw NIfTIError(path, "its header file is over 16 MiB")
    }
    return bytes
  }

  /// Where the voxels begin in their file.
  private static func offset(
    _ header: NIfTIHeader, _ layout: VoxelLayout, _ path: String, _ size: UInt64?, least: UInt64,
    _ quirks: inout [String]
  ) throws -> UInt64 {
    guard header.voxOffset.isFinite, header.voxOffset >= 0, header.voxOffset < 0x1p62 else {
      throw NIfTIError(path, "vox_offset is \(header.voxOffset)")
    }
    let offset = UInt64(header.voxOffset)
    if Double(offset) != header.voxOffset {
      quirks.append("vox_offset is \(header.voxOffset), taken as \(offset)")
    }
    if offset >= least { return offset }
    if offset == 0 {
      quirks.append("vox_offset is 0, taken as \(least)")
      return least
    }
    if let size, offset >= UInt64(header.size), size == offset + layout.byteCount {
      quirks.append("vox_offset is \(offset), right behind the header")
      return offset
    }
    throw NIfTIError(path, "vox_offset is \(offset), inside of the header")
  }

  /// What is wrong with the chain of extensions after a header, or nil.
  private static func extensionQuirk(_ bytes: [UInt8], _ header: NIfTIHeader) -> String? {
    guard header.format != .analyze75, bytes.count >= header.minimumOffset,
      bytes[header.size] != 0
    else { return nil }
    var offset = header.minimumOffset
    if bytes.count == offset { return "extensions are announced, and there are none" }
    while offset < bytes.count {
      // A gap of less than one extension's head may follow the last.
      guard bytes.count - offset >= 8 else { return nil }
      let raw = bytes.loadLittle(offset, as: Int32.self)
      let length = Int(header.isBigEndian ? raw.byteSwapped : raw)
      if length == 0, offset > header.minimumOffset { return nil }
      guard length >= 16, length % 16 == 0 else {
        return "an extension has the length \(length)"
      }
      guard length <= bytes.count - offset else { return "an extension runs into the voxels" }
      offset += length
    }
    return nil
  }
}

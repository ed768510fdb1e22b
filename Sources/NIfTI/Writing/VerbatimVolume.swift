internal import Frames

/// A volume that becomes its source again, a file or a pair, byte for byte.
///
/// What came of the source that is not voxels is written as it is:
///
///     source bytes before the voxels            voxels    source bytes behind
///     header | extensions, gap                  ...       ...
///     `source.header` says what they are,
///     and so how many there must be
///
/// Its files are begun when as many bytes came as the header has, and they are that header.
final class VerbatimVolume: VolumeInWriting {
  private let header: VolumeHeader
  private let source: VolumeHeader.Source
  private let destination: VolumeDestination
  /// The single file, or header and image.
  private(set) var files: [VolumeFile] = []
  /// The header of the source, which its bytes must begin with.
  private let expected: [UInt8]
  /// The first source bytes, until the files are begun.
  private var head: [UInt8] = []
  /// Source bytes before the voxels that came.
  private var leadBytes: UInt64 = 0
  /// How many the header says there are, until that was checked.
  private var leadWanted: UInt64?
  /// In a pair, bytes that still belong to the header file.
  private var headerFileLeft: UInt64 = 0
  /// There as soon as the files are begun.
  private var voxels: VoxelWriter?

  /// Begins no file as yet; nil if the volume does not come with the header of its source.
  init?(_ header: VolumeHeader, to destination: VolumeDestination) {
    guard let source = header.source, let expected = source.header?.bytes else { return nil }
    self.header = header
    self.source = source
    self.destination = destination
    self.expected = expected
  }

  func extra(_ bytes: [UInt8], afterVoxels: Bool) throws {
    if !afterVoxels { leadBytes += UInt64(bytes.count) }
    if voxels != nil { return try write(bytes) }
    head += bytes
    guard head.count >= expected.count else { return }
    guard head.starts(with: expected) else {
      throw unwritable("its source bytes do not begin with its 'source.header'")
    }
    voxels = try begin()
    let bytes = head
    head = []
    try write(bytes)
  }

  func data(_ bytes: UnsafeMutableRawBufferPointer) throws {
    // There are always voxels, so that without all of its header a source is not made again.
    guard voxels != nil else { throw lacksLead(wanted: "\(expected.count) or more") }
    if let leadWanted {
      guard leadBytes == leadWanted else { throw lacksLead(wanted: "\(leadWanted)") }
      self.leadWanted = nil
    }
    try voxels?.write(bytes)
  }

  private func begin() throws -> VoxelWriter {
    let parsed = try ParsedHeader(expected).header
    guard let lead = Self.lead(parsed, source) else {
      throw unwritable("'source.header' says that its voxels begin at \(parsed.voxOffset)")
    }
    leadWanted = lead
    if parsed.isPair {
      guard destination.takesPairs else {
        throw unwritable("a pair of files cannot go to standard output")
      }
      headerFileLeft = source.headerBytes ?? 0
      files.append(try destination.begin(header, ".hdr"))
    }
    let file = try destination.begin(header, parsed.isPair ? ".img" : ".nii")
    files.append(file)
    return VoxelWriter(file, header, isBigEndian: parsed.isBigEndian)
  }

  /// How many source bytes precede the voxels.
  private static func lead(_ parsed: NIfTIHeader, _ source: VolumeHeader.Source) -> UInt64? {
    guard parsed.voxOffset >= 0, parsed.voxOffset < 0x1p62 else { return nil }
    let offset = UInt64(parsed.voxOffset)
    if parsed.isPair { return (source.headerBytes ?? 0) &+ offset }
    return offset == 0 ? UInt64(parsed.minimumOffset) : offset
  }

  /// Writes source bytes to the file that they belong to.
  private func write(_ bytes: [UInt8]) throws {
    let toHeader = Int(min(headerFileLeft, UInt64(bytes.count)))
    headerFileLeft -= UInt64(toHeader)
    try bytes[..<toHeader].withUnsafeBytes { try files.first?.write($0) }
    try bytes[toHeader...].withUnsafeBytes { try files.last?.write($0) }
  }

  private func lacksLead(wanted: String) -> NIfTIError {
    unwritable(
      "\(leadBytes) source bytes came before its voxels, its header says \(wanted); a filter "
        + "that drops some must move 'source.header' to 'source.template', or leave out 'source'")
  }

  private func unwritable(_ reason: String) -> NIfTIError {
    NIfTIError(header.label, reason, kind: .unwritable)
  }
}

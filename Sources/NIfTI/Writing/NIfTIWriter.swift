public import ByteIO
internal import SystemPackage
public import Frames

/// Writes volumes of a frame stream as NIfTI files.
///
/// A volume with the header of its source becomes that file again, byte for byte; any other gets a
/// new header. Files have a temporary name until they are whole.
public final class NIfTIWriter {
  /// Makes the name of a volume's file, without suffix; `/` in it leads to folders below.
  public typealias Naming = @Sendable (VolumeHeader) throws -> ExactString

  /// How files are written.
  public struct Options: Sendable {
    /// The folder; nil for standard output and a single volume.
    public var folder: String?
    /// Makes the names.
    public var name: Naming
    /// gzip level 1 to 9, or nil for plain files.
    public var gzip: Int?
    /// Whether an existing file is replaced.
    public var replaces: Bool
    /// How the user makes names that differ.
    var advice: String?

    /// Makes options with a template for the names; `advice` says how the user makes others.
    public init(
      folder: String?, name: NameTemplate, gzip: Int?, replaces: Bool, advice: String? = nil
    ) {
      self.init(
        folder: folder, name: { try name.name(of: $0) }, gzip: gzip, replaces: replaces)
      self.advice = advice
    }

    /// Makes options.
    public init(folder: String?, name: @escaping Naming, gzip: Int?, replaces: Bool) {
      self.folder = folder
      self.name = name
      self.gzip = gzip
      self.replaces = replaces
    }
  }

  /// A name that a file or a folder cannot have.
  public struct Exists: ExplainedError, CustomStringConvertible {
    /// What is in its way.
    enum Cause {
      /// Something that this run did not make.
      case there
      /// What another volume of the stream got, under the name that is given if it is another.
      case made(as: String?)
      /// A symbolic link, which may lead elsewhere.
      case link
    }

    let path: String
    let cause: Cause
    let advice: String?

    /// See `ExplainedError`.
    public var failureKind: FailureKind { .cannotCreate }

    /// `cannot create 'x': reason`.
    public var description: String {
      let hint = advice.map { "; \($0)" } ?? ""
      let reason =
        switch cause {
        case .there: "it exists; --force replaces it"
        case .made(nil): "another volume of this stream has the name\(hint)"
        case .made(let other?):
          "the file system takes it for '\(other)', which another volume of this stream has\(hint)"
        case .link: "it is a symbolic link, which may lead elsewhere"
        }
      return "cannot create '\(path)': \(reason)"
    }
  }

  /// A file under its temporary name.
  private struct Pending {
    var path: FilePath
    var temporary: String?
    var file: OutputFile
    var stream: OutputStream
  }

  /// The volume that is being written.
  private struct Current {
    var header: VolumeHeader
    /// Whether the volume becomes its source again.
    var isVerbatim: Bool
    /// The first source bytes, until there are enough to compare with the source's header.
    var head: [UInt8] = []
    /// Whether the files are there and have all that precedes the source bytes to come.
    var isBegun = false
    /// Source bytes before the voxels that came, and how many the header says there are.
    var leadBytes: UInt64 = 0
    var leadWanted: UInt64?
    /// In a pair, bytes that still belong to the header file.
    var headerBytesLeft: UInt64 = 0
    var files: [Pending] = []
    /// Bytes of a value that a frame cut off, to be swapped with the rest of it.
    var carry: [UInt8] = []
    var swapSize = 1
  }

  private let options: Options
  private var current: Current?
  private let folder: OutputFolder?
  /// Number of volumes begun.
  public private(set) var volumes = 0

  /// Prepares writing.
  public init(_ options: Options) {
    self.options = options
    folder = options.folder.map { OutputFolder($0, options) }
  }

  /// Begins a volume.
  ///
  /// - Throws: `NIfTIError` if what its header says contradicts itself.
  public func open(_ header: VolumeHeader) throws {
    if options.folder == nil, volumes > 0 {
      throw NIfTIError(
        header.label, "only one volume can go to standard output; use --output DIR",
        kind: .unwritable)
    }
    volumes += 1
    if let reason = header.contradiction() {
      throw NIfTIError(header.label, reason, kind: .unwritable)
    }
    current = Current(header: header, isVerbatim: header.source?.header != nil)
  }

  /// Takes source bytes that are not voxels.
  public func extra(_ bytes: [UInt8], afterVoxels: Bool) throws {
    guard let volume = current, volume.isVerbatim else { return }
    if !afterVoxels { current?.leadBytes += UInt64(bytes.count) }
    if volume.isBegun { return try writeExtra(bytes) }
    current?.head += bytes
    if try hasItsHeader() { try beginVerbatim() }
  }

  /// Takes voxels, little-endian; the memory is changed.
  public func data(_ bytes: UnsafeMutableRawBufferPointer) throws {
    if current?.isBegun == false { try beginAtVoxels() }
    try checkLead()
    guard var volume = current else { return }
    guard volume.swapSize > 1 else {
      try volume.files.last?.stream.write(UnsafeRawBufferPointer(bytes))
      return
    }
    // Whole values are swapped; what a frame cuts off waits for the next.
    var start = 0
    if !volume.carry.isEmpty {
      let wanted = min(volume.swapSize - volume.carry.count, bytes.count)
      volume.carry += bytes[..<wanted]
      start = wanted
      if volume.carry.count == volume.swapSize {
        volume.carry.reverse()
        try volume.carry.withUnsafeBytes { try volume.files.last?.stream.write($0) }
        volume.carry = []
      }
    }
    let whole = (bytes.count - start) / volume.swapSize * volume.swapSize
    let body = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + whole])
    swapValues(body, size: volume.swapSize)
    try volume.files.last?.stream.write(UnsafeRawBufferPointer(body))
    volume.carry += bytes[(start + whole)...]
    current?.carry = volume.carry
  }

  /// Ends a volume that is whole: its files get their names.
  public func close() throws {
    guard let volume = current else { return }
    do {
      for pending in volume.files {
        try pending.stream.finish()
        if pending.temporary != nil { try pending.file.sync() }
        try pending.file.close()
      }
      for pending in volume.files { try publish(pending) }
    } catch {
      drop()
      throw error
    }
    current = nil
  }

  /// Takes the volume back that is being written.
  public func drop() {
    for pending in current?.files ?? [] {
      if let temporary = pending.temporary { try? Publishing.remove(temporary) }
    }
    current = nil
  }

  // MARK: How a volume is written

  /// Begins a volume of which voxels come before enough source bytes did.
  private func beginAtVoxels() throws {
    guard let volume = current else { return }
    guard volume.isVerbatim else { return try beginNew() }
    // There are always voxels, so that without all of its header a source is not made again.
    throw lacksLead(volume, wanted: "\(volume.header.source?.header?.bytes.count ?? 0) or more")
  }

  /// Whether the source bytes begin with the header that the open frame has; false if there are too
  /// few as yet.
  private func hasItsHeader() throws -> Bool {
    guard let volume = current, let own = volume.header.source?.header?.bytes,
      volume.head.count >= own.count
    else { return false }
    guard volume.head.starts(with: own) else {
      throw NIfTIError(
        volume.header.label, "its source bytes do not begin with its 'source.header'",
        kind: .unwritable)
    }
    return true
  }

  /// Refuses voxels before which not all came that the header announces.
  private func checkLead() throws {
    guard let volume = current, let wanted = volume.leadWanted else { return }
    guard volume.leadBytes == wanted else { throw lacksLead(volume, wanted: "\(wanted)") }
    current?.leadWanted = nil
  }

  private func lacksLead(_ volume: Current, wanted: String) -> NIfTIError {
    NIfTIError(
      volume.header.label,
      "\(volume.leadBytes) source bytes came before its voxels, its header says \(wanted); a filter "
        + "that drops some must move 'source.header' to 'source.template', or leave out 'source'",
      kind: .unwritable)
  }

  /// How many source bytes precede the voxels.
  private static func lead(_ parsed: NIfTIHeader, _ source: VolumeHeader.Source) -> UInt64? {
    guard parsed.voxOffset >= 0, parsed.voxOffset < 0x1p62 else { return nil }
    let offset = UInt64(parsed.voxOffset)
    if parsed.isPair { return (source.headerBytes ?? 0) &+ offset }
    return offset == 0 ? UInt64(parsed.minimumOffset) : offset
  }

  private func beginVerbatim() throws {
    guard let volume = current, let source = volume.header.source else { return }
    let parsed = try ParsedHeader(source.header?.bytes ?? []).header
    guard let lead = Self.lead(parsed, source) else {
      throw NIfTIError(
        volume.header.label, "'source.header' says that its voxels begin at \(parsed.voxOffset)",
        kind: .unwritable)
    }
    current?.leadWanted = lead
    current?.swapSize = parsed.isBigEndian ? volume.header.dtype.swapSize : 1
    if parsed.isPair {
      guard options.folder != nil else {
        throw NIfTIError(
          volume.header.label, "a pair of files cannot go to standard output", kind: .unwritable)
      }
      current?.headerBytesLeft = source.headerBytes ?? 0
      let headerFile = try begin(".hdr")
      current?.files.append(headerFile)
      let imageFile = try begin(".img")
      current?.files.append(imageFile)
    } else {
      let file = try begin(".nii")
      current?.files.append(file)
    }
    current?.isBegun = true
    current?.head = []
    try writeExtra(volume.head)
  }

  private func beginNew() throws {
    guard let header = current?.header else { return }
    let made = try NewHeader.make(header)
    current?.swapSize = made.isBigEndian ? header.dtype.swapSize : 1
    let file = try begin(".nii")
    current?.files.append(file)
    try made.bytes.withUnsafeBytes { try file.stream.write($0) }
    current?.isBegun = true
  }

  /// Writes source bytes to the file that they belong to.
  private func writeExtra(_ bytes: [UInt8]) throws {
    guard let volume = current else { return }
    let toHeader = Int(min(volume.headerBytesLeft, UInt64(bytes.count)))
    current?.headerBytesLeft -= UInt64(toHeader)
    try bytes[..<toHeader].withUnsafeBytes { try volume.files.first?.stream.write($0) }
    try bytes[toHeader...].withUnsafeBytes { try volume.files.last?.stream.write($0) }
  }

  // MARK: Files

  private func begin(_ suffix: String) throws -> Pending {
    guard let folder else {
      let file = OutputFile(borrowing: 1, name: "standard output")
      return Pending(
        path: FilePath(file.path), temporary: nil, file: file,
        stream: OutputStream(file, gzip: options.gzip))
    }
    guard let header = current?.header else { preconditionFailure("no volume is open") }
    let name = try options.name(header)
    let path = try folder.prepare("\(name)\(suffix)" + (options.gzip == nil ? "" : ".gz"))
    let parent = Publishing.parent(of: path.string)
    let temporary = "\(parent)/.nifti-write-\(randomIdentifier())"
    let file = try OutputFile(creating: temporary)
    return Pending(
      path: path, temporary: temporary, file: file, stream: OutputStream(file, gzip: options.gzip))
  }

  private func publish(_ pending: Pending) throws {
    guard let temporary = pending.temporary else { return }
    try folder?.publish(temporary, as: pending.path)
  }
}

public import ByteIO
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

  private let options: Options
  private let destination: VolumeDestination
  private var current: (any VolumeInWriting)?
  /// Number of volumes begun.
  public private(set) var volumes = 0

  /// Prepares writing.
  public init(_ options: Options) {
    self.options = options
    destination = VolumeDestination(options)
  }

  /// Begins a volume.
  ///
  /// - Throws: `NIfTIError` if what its header says contradicts itself, or if it is the second for
  ///   standard output.
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
    current =
      VerbatimVolume(header, to: destination) ?? NewHeaderVolume(header, to: destination)
  }

  /// Takes source bytes that are not voxels.
  ///
  /// - Throws: `NIfTIError` if they are not what the volume's header announces; `Exists` if its file
  ///   cannot have its name; `IOFailure`; what making the name throws.
  public func extra(_ bytes: [UInt8], afterVoxels: Bool) throws {
    try current?.extra(bytes, afterVoxels: afterVoxels)
  }

  /// Takes voxels, little-endian; the memory is changed.
  ///
  /// - Throws: `NIfTIError` if not all source bytes came before them, or if NIfTI cannot hold what
  ///   the volume's header says; else as `extra`.
  public func data(_ bytes: UnsafeMutableRawBufferPointer) throws { try current?.data(bytes) }

  /// Ends a volume that is whole: its files get their names.
  ///
  /// - Throws: `Exists`; `IOFailure`; the volume is then taken back.
  public func close() throws {
    guard let volume = current else { return }
    do {
      for file in volume.files { try file.finish() }
      for file in volume.files { try file.publish() }
    } catch {
      drop()
      throw error
    }
    current = nil
  }

  /// Takes the volume back that is being written.
  public func drop() {
    for file in current?.files ?? [] { file.remove() }
    current = nil
  }
}

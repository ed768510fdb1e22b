public import ByteIO

/// Where volumes go that are read from a dataset, in the order of vol-frames(5).
public protocol VolumeSink: AnyObject {
  /// Begins a volume.
  func open(_ header: VolumeHeader) throws
  /// Takes source bytes that are not voxels.
  func extra(_ bytes: [UInt8], afterVoxels: Bool) throws
  /// Takes voxels, little-endian; the memory may be changed.
  func data(_ bytes: UnsafeMutableRawBufferPointer) throws
  /// Ends a volume whose voxels are all there, and are those that were stored.
  func close() throws
  /// Takes a volume back.
  func drop(reason: String) throws
  /// Ends all, after `skipped` volumes that could not even be begun.
  func end(skipped: UInt64) throws
  /// CRC-32 of the present volume's voxels so far, of one who takes it anyway; else nil.
  var voxelCRC: UInt32? { get }
}

/// Volumes as a stream of frames.
public final class FrameSink: VolumeSink {
  private let writer: FrameWriter

  /// Writes to `file`.
  public init(_ file: OutputFile) { writer = FrameWriter(file) }

  /// See `VolumeSink`.
  public func open(_ header: VolumeHeader) throws { try writer.open(header) }
  /// See `VolumeSink`.
  public func extra(_ bytes: [UInt8], afterVoxels: Bool) throws {
    try bytes.withUnsafeBytes { try writer.extra($0) }
  }
  /// See `VolumeSink`.
  public func data(_ bytes: UnsafeMutableRawBufferPointer) throws {
    try writer.data(UnsafeRawBufferPointer(bytes))
  }
  /// See `VolumeSink`.
  public func close() throws { try writer.close() }
  /// See `VolumeSink`.
  public func drop(reason: String) throws { try writer.drop(reason: reason) }
  /// See `VolumeSink`.
  public func end(skipped: UInt64) throws {
    try writer.end(skipped: min(skipped, VolumeHeader.maximumBytes))
  }
  /// See `VolumeSink`.
  public var voxelCRC: UInt32? { writer.voxelCRC }
}

/// Volumes of which nothing is kept, for one who wants the checks on the way only.
public final class DiscardingSink: VolumeSink {
  /// Makes one.
  public init() {}
  /// See `VolumeSink`.
  public func open(_ header: VolumeHeader) {}
  /// See `VolumeSink`.
  public func extra(_ bytes: [UInt8], afterVoxels: Bool) {}
  /// See `VolumeSink`.
  public func data(_ bytes: UnsafeMutableRawBufferPointer) {}
  /// See `VolumeSink`.
  public func close() {}
  /// See `VolumeSink`.
  public func drop(reason: String) {}
  /// See `VolumeSink`.
  public func end(skipped: UInt64) {}
  /// See `VolumeSink`.
  public var voxelCRC: UInt32? { nil }
}

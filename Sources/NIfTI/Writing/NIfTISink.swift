public import Frames

/// Volumes as NIfTI files.
public final class NIfTISink: VolumeSink {
  private let writer: NIfTIWriter

  /// Writes with `writer`.
  public init(_ writer: NIfTIWriter) { self.writer = writer }

  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.open`.
  public func open(_ header: VolumeHeader) throws { try writer.open(header) }
  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.extra`.
  public func extra(_ bytes: [UInt8], afterVoxels: Bool) throws {
    try writer.extra(bytes, afterVoxels: afterVoxels)
  }
  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.data`.
  public func data(_ bytes: UnsafeMutableRawBufferPointer) throws { try writer.data(bytes) }
  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.close`.
  public func close() throws { try writer.close() }
  /// See `VolumeSink`.
  public func drop(reason: String) { writer.drop() }
  /// See `VolumeSink`.
  public func end(skipped: UInt64) {}
  /// See `VolumeSink`.
  public var voxelCRC: UInt32? { nil }
}

import ByteIO
import NumPy
import Datasets
import Frames

/// One volume's voxels, alone or behind the header of a NumPy array.
final class ArraySink: VolumeSink {
  private let output: OutputFile
  private let isNumPy: Bool

  /// Writes to `output`.
  init(_ output: OutputFile, isNumPy: Bool) {
    self.output = output
    self.isNumPy = isNumPy
  }

  func open(_ header: VolumeHeader) throws {
    if isNumPy { try output.write(NpyHeader.make(header)) }
  }
  func extra(_ bytes: [UInt8], afterVoxels: Bool) {}
  func data(_ bytes: UnsafeMutableRawBufferPointer) throws {
    try output.write(UnsafeRawBufferPointer(bytes))
  }
  func close() {}
  func drop(reason: String) {}
  func end(skipped: UInt64) {}
  var voxelCRC: UInt32? { nil }
}

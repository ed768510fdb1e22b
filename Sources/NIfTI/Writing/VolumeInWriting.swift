internal import Frames

/// A volume on its way into its files, of which there are none until it is clear what they are.
///
/// Either a `VerbatimVolume`, which becomes its source again, or a `NewHeaderVolume`.
protocol VolumeInWriting: AnyObject {
  /// The files that were begun.
  var files: [VolumeFile] { get }

  /// Takes source bytes that are not voxels.
  ///
  /// - Throws: `NIfTIError` if they are not what the volume's open header announces; `IOFailure`;
  ///   `NIfTIWriter.Exists`; what making a name throws.
  func extra(_ bytes: [UInt8], afterVoxels: Bool) throws

  /// Takes voxels, little-endian; the memory is changed.
  ///
  /// - Throws: as `extra`.
  func data(_ bytes: UnsafeMutableRawBufferPointer) throws
}

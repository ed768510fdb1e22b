internal import Frames

/// A volume that gets a single file with a header made anew, voxels right behind it.
///
/// The file is begun at the first voxels. Source bytes are left out.
final class NewHeaderVolume: VolumeInWriting {
  private let header: VolumeHeader
  private let destination: VolumeDestination
  private(set) var files: [VolumeFile] = []
  /// There as soon as the file has its header.
  private var voxels: VoxelWriter?

  init(_ header: VolumeHeader, to destination: VolumeDestination) {
    self.header = header
    self.destination = destination
  }

  func extra(_ bytes: [UInt8], afterVoxels: Bool) {}

  func data(_ bytes: UnsafeMutableRawBufferPointer) throws {
    if voxels == nil { voxels = try begin() }
    try voxels?.write(bytes)
  }

  private func begin() throws -> VoxelWriter {
    let made = try NewHeader.make(header)
    let file = try destination.begin(header, ".nii")
    files = [file]
    try made.bytes.withUnsafeBytes { try file.write($0) }
    return VoxelWriter(file, header, isBigEndian: made.isBigEndian)
  }
}

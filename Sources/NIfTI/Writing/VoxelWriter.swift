internal import ByteIO
internal import Frames

/// Writes little-endian voxels in the byte order of their file.
struct VoxelWriter {
  private let file: VolumeFile
  /// Bytes of what is swapped: a value, or half of a complex one; 1 if nothing is.
  private let swapSize: Int
  /// Bytes of a value that a frame cut off, to be swapped with the rest of it.
  private var carry: [UInt8] = []

  /// Writes the voxels of a volume to the end of `file`.
  init(_ file: VolumeFile, _ header: VolumeHeader, isBigEndian: Bool) {
    self.file = file
    swapSize = isBigEndian ? header.dtype.swapSize : 1
  }

  /// Writes the next bytes; the memory is changed.
  mutating func write(_ bytes: UnsafeMutableRawBufferPointer) throws {
    guard swapSize > 1 else { return try file.write(UnsafeRawBufferPointer(bytes)) }
    // Whole values are swapped; what a frame cuts off waits for the next.
    var start = 0
    if !carry.isEmpty {
      start = min(swapSize - carry.count, bytes.count)
      carry += bytes[..<start]
      if carry.count == swapSize {
        carry.reverse()
        try carry.withUnsafeBytes { try file.write($0) }
        carry = []
      }
    }
    let whole = (bytes.count - start) / swapSize * swapSize
    let body = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + whole])
    swapValues(body, size: swapSize)
    try file.write(UnsafeRawBufferPointer(body))
    carry += bytes[(start + whole)...]
  }
}

internal import Frames

/// What a header says of the voxels' bytes, checked.
struct VoxelLayout {
  var shape: [Int]
  var dtype: DataType
  var channels: Int
  /// Bytes of all voxels.
  var byteCount: UInt64
  /// A dimension of 0 or less was taken as 1, which only an exact number of bytes makes likely.
  var isGuessed = false
  var quirks: [String] = []

  /// Reads shape and type from `header`.
  init(_ header: NIfTIHeader, path: String) throws(NIfTIError) {
    guard let type = Self.types[header.datatype] else {
      throw NIfTIError(
        path, "datatype \(header.datatype)\(Self.refused[header.datatype] ?? "") is not supported")
    }
    (dtype, channels) = type
    let bits = dtype.size * channels * 8
    if header.bitpix != bits {
      quirks.append("bitpix is \(header.bitpix), not \(bits) as datatype says")
    }
    let axes = Int(header.dim[0])
    var extents = Array(header.dim[1...axes])
    if header.format == .nifti1, extents[0] == -1, header.glmin > 0 {
      extents[0] = Int64(header.glmin)
      quirks.append("dim[1] is -1, taken from glmin as FreeSurfer writes it")
    }
    if extents.count >= 3, extents[..<3] == [27307, 1, 6] {
      extents[0] = 163_842
      extents[2] = 1
      quirks.append("27307x1x6 taken as FreeSurfer's 163842x1x1")
    }
    for axis in extents.indices where extents[axis] <= 0 {
      quirks.append("dim[\(axis + 1)] is \(extents[axis]), taken as 1")
      isGuessed = true
      extents[axis] = 1
    }
    shape = extents.map { Int($0) }
    var bytes = UInt64(dtype.size * channels)
    for extent in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: UInt64(extent))
      guard !overflow, product <= VolumeHeader.maximumBytes else {
        throw NIfTIError(path, "its dimensions stand for more than 2^53 bytes")
      }
      bytes = product
    }
    byteCount = bytes
  }

  /// NIfTI's codes.
  static let types: [Int: (DataType, Int)] = [
    2: (.uint8, 1), 4: (.int16, 1), 8: (.int32, 1), 16: (.float32, 1), 32: (.complex64, 1),
    64: (.float64, 1), 128: (.uint8, 3), 256: (.int8, 1), 512: (.uint16, 1), 768: (.uint32, 1),
    1024: (.int64, 1), 1280: (.uint64, 1), 1792: (.complex128, 1), 2304: (.uint8, 4),
  ]

  /// NIfTI's code of the type that the voxels of a volume have.
  static func code(of header: VolumeHeader) throws(NIfTIError) -> Int {
    guard let type = types.first(where: { $0.value == (header.dtype, header.channels) }) else {
      throw NIfTIError(
        header.label,
        "NIfTI has no type for \(header.channels) channels of \(header.dtype.rawValue)",
        kind: .unwritable)
    }
    return type.key
  }

  private static let refused = [
    1: " (single bits)", 1536: " (float128)", 2048: " (complex256)", 0: " (unknown)",
  ]
}

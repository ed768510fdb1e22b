internal import ByteIO
internal import VolumeFormat

/// A NIfTI header for a volume that has none, or whose own no longer fits.
enum NewHeader {
  /// Makes header and extension flag, which little-endian voxels follow directly.
  ///
  /// They are 352 bytes of NIfTI-1, or 544 of NIfTI-2 where a dimension is over 32,767. The affine
  /// becomes the sform, in millimetres, and the qform too where that can express it.
  static func make(_ header: VolumeHeader) throws(NIfTIError) -> [UInt8] {
    let type = VoxelLayout.types.first { $0.value == (header.dtype, header.channels) }
    guard let datatype = type?.key else {
      throw NIfTIError(
        header.label,
        "NIfTI has no type for \(header.channels) channels of \(header.dtype.rawValue)",
        kind: .unwritable)
    }
    let isSecond = header.shape.contains { $0 > Int(Int16.max) }
    var f = FieldWriter(isSecond: isSecond)
    if isSecond {
      f.integer(540, first: 0, 4, second: 0, 4)
      f.bytes(Array("n+2".utf8) + [0, 0x0D, 0x0A, 0x1A, 0x0A], at: 4)
    } else {
      f.integer(348, first: 0, 4, second: 0, 4)
      f.bytes([0x72], at: 38)  // `regular`, which some Analyze readers ask for
      f.bytes(Array("n+1".utf8) + [0], at: 344)
    }
    for axis in 0..<8 {
      let extent =
        axis == 0 ? header.shape.count : axis <= header.shape.count ? header.shape[axis - 1] : 1
      f.integer(Int64(extent), first: 40 + 2 * axis, 2, second: 16 + 8 * axis, 8)
    }
    f.integer(Int64(datatype), first: 70, 2, second: 12, 2)
    f.integer(Int64(header.voxelBytes * 8), first: 72, 2, second: 14, 2)
    let quaternion = header.affine.flatMap(Quaternion.init)
    var steps = pixdim(header)
    steps[0] = quaternion?.isLeftHanded == true ? -1 : 1
    for (axis, step) in steps.enumerated() {
      f.real(step, first: 76 + 4 * axis, second: 104 + 8 * axis)
    }
    if isSecond {
      f.integer(544, first: 0, 4, second: 168, 8)
    } else {
      f.real(352, first: 108, second: 0)
    }
    // A slope of 0 says that there is no scaling.
    f.real(header.slope ?? 0, first: 112, second: 176)
    f.real(header.intercept ?? 0, first: 116, second: 184)
    let seconds: Int64 = header.repetitionTime == nil ? 0 : 8
    f.integer(2 + seconds, first: 123, 1, second: 500, 4)
    f.text(header.sourceDescription?.string ?? "", first: 148, second: 240, 80)
    if let affine = header.affine {
      let code = max(1, header.sformCode ?? 0)
      f.integer(Int64(clamping: code), first: 254, 2, second: 348, 4)
      if let quaternion {
        f.integer(Int64(clamping: code), first: 252, 2, second: 344, 4)
        for (index, value) in quaternion.imaginary.enumerated() {
          f.real(value, first: 256 + 4 * index, second: 352 + 8 * index)
          f.real(affine[index][3], first: 268 + 4 * index, second: 376 + 8 * index)
        }
      }
      for row in 0..<3 {
        for column in 0..<4 {
          f.real(
            affine[row][column], first: 280 + 16 * row + 4 * column,
            second: 400 + 32 * row + 8 * column)
        }
      }
    }
    if let intent = header.intent {
      f.integer(Int64(intent.code), first: 68, 2, second: 504, 4)
      for (index, value) in intent.parameters.prefix(3).enumerated() {
        f.real(value, first: 56 + 4 * index, second: 80 + 8 * index)
      }
      f.text(intent.name.string, first: 328, second: 508, 16)
    }
    return f.result
  }

  private static func pixdim(_ header: VolumeHeader) -> [Double] {
    var steps = [Double](repeating: 1, count: 8)
    if let affine = header.affine {
      for axis in 0..<3 {
        let column = (0..<3).map { affine[$0][axis] }
        let length = column.reduce(0) { $0 + $1 * $1 }.squareRoot()
        if length.isFinite, length > 0 { steps[axis + 1] = length }
      }
    } else if let spacing = header.voxelSpacing {
      for (axis, step) in spacing.prefix(3).enumerated() where step.isFinite && step > 0 {
        steps[axis + 1] = step
      }
    }
    if let time = header.repetitionTime, time.isFinite { steps[4] = time }
    return steps
  }
}

/// Puts fields into a new little-endian header.
private struct FieldWriter {
  let isSecond: Bool
  private(set) var result: [UInt8]

  init(isSecond: Bool) {
    self.isSecond = isSecond
    result = [UInt8](repeating: 0, count: isSecond ? 544 : 352)
  }

  mutating func bytes(_ bytes: [UInt8], at offset: Int) {
    result.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }

  mutating func integer(
    _ value: Int64, first: Int, _ firstSize: Int, second: Int, _ secondSize: Int
  ) {
    var little: [UInt8] = []
    little.appendLittle(value)
    bytes(Array(little.prefix(isSecond ? secondSize : firstSize)), at: isSecond ? second : first)
  }

  mutating func real(_ value: Double, first: Int, second: Int) {
    var little: [UInt8] = []
    if isSecond {
      little.appendLittle(value.bitPattern)
    } else {
      little.appendLittle(Float(value).bitPattern)
    }
    bytes(little, at: isSecond ? second : first)
  }

  mutating func text(_ text: String, first: Int, second: Int, _ room: Int) {
    bytes(Array(text.utf8.prefix(room - 1)), at: isSecond ? second : first)
  }
}

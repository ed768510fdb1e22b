/// A NIfTI file of `count` voxels of uint8 along one axis, up to the extension flag.
public func smallHeader(
  count: Int, isSecond: Bool = false, isBigEndian: Bool = false, isPair: Bool = false, offset: Int,
  hasExtensions: Bool = false
) -> [UInt8] {
  let size = isSecond ? 540 : 348
  var bytes = [UInt8](repeating: 0, count: size + 4)
  func put(_ value: UInt64, _ width: Int, _ offset: Int) {
    for index in 0..<width {
      let shift = UInt64(8 * (isBigEndian ? width - 1 - index : index))
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> shift)
    }
  }
  put(UInt64(size), 4, 0)
  for (axis, extent) in [1, count, 1, 1, 1, 1, 1, 1].enumerated() {
    isSecond ? put(UInt64(extent), 8, 16 + 8 * axis) : put(UInt64(extent), 2, 40 + 2 * axis)
    isSecond
      ? put(1.0.bitPattern, 8, 104 + 8 * axis)
      : put(UInt64(Float(1).bitPattern), 4, 76 + 4 * axis)
  }
  put(2, 2, isSecond ? 12 : 70)
  put(8, 2, isSecond ? 14 : 72)
  isSecond ? put(UInt64(offset), 8, 168) : put(UInt64(Float(offset).bitPattern), 4, 108)
  let magic = (isPair ? "ni" : "n+") + (isSecond ? "2\0\r\n\u{1A}\n" : "1\0")
  bytes.replaceSubrange((isSecond ? 4 : 344)..<(isSecond ? 12 : 348), with: Array(magic.utf8))
  bytes[size] = hasExtensions ? 1 : 0
  return bytes
}

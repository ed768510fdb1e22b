import ByteIO
import FuzzSupport

nonisolated(unsafe) private let check = VolumeCheck()

/// Bytes of a gzip file: as they come if the first is even; else what follows is a volume, and how
/// it is cut into members.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzGzip(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  if start[0] & 1 == 0 {
    check.single([0x1F, 0x8B] + bytes, plain: nil)
  } else {
    framed(bytes)
  }
  return 0
}

/// Members of stored blocks, whose contents are known, with zeros or other bytes behind the last.
private func framed(_ script: [UInt8]) {
  guard script.count > 4 else { return }
  let voxels = Array(script.dropFirst(4))
  let plain = smallHeader(count: voxels.count, offset: 352) + voxels
  var file: [UInt8] = []
  var rest = plain[...]
  var step = Int(script[0]) + 1
  while !rest.isEmpty {
    file += member(rest.prefix(step))
    rest = rest.dropFirst(step)
    step += Int(script[1])
  }
  if script[2] & 1 != 0 { file += member([]) }
  file += [UInt8](repeating: 0, count: Int(script[3] & 0x3F))
  let hasGarbage = script[3] & 0x40 != 0
  if hasGarbage { file += [UInt8(ascii: "x"), 0x1F, 0x8B] }
  if script[3] & 0x80 != 0 {
    // Cut anywhere in a member, it must be refused.
    file.removeLast(min(file.count - 1, 1 + Int(script[2] >> 1)))
    check.single(file, plain: nil)
    return
  }
  guard let outcome = check.single(file, plain: plain) else {
    preconditionFailure("a sound file is refused")
  }
  precondition(outcome.voxels == voxels, "other voxels")
  precondition(outcome.quirks.isEmpty == !hasGarbage, "\(outcome.quirks)")
}

/// A gzip member with one stored block (RFC 1951, 3.2.4; RFC 1952).
private func member(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
  let length = UInt16(bytes.count)
  var result: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 1]
  result.appendLittle(length)
  result.appendLittle(~length)
  result += bytes
  var crc = CRC32()
  bytes.withUnsafeBytes { crc.update($0) }
  result.appendLittle(crc.value)
  result.appendLittle(UInt32(length))
  return result
}

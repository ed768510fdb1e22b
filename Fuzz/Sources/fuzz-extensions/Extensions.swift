import FuzzSupport

nonisolated(unsafe) private let check = VolumeCheck()

/// A sound header, any bytes as its extensions, and eight voxels; the first byte chooses version,
/// byte order, pair or single, and how far `vox_offset` is from the end of the extensions.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzExtensions(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let chain = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  let choice = Int(start[0])
  let isSecond = choice & 1 != 0
  let isPair = choice & 4 != 0
  let first = isPair ? 0 : (isSecond ? 544 : 352) + chain.count
  // Some of the chain may stand where voxels do, and the file end too early.
  let offset = max(isPair ? 0 : isSecond ? 544 : 352, first - (choice >> 3))
  let header = smallHeader(
    count: 8, isSecond: isSecond, isBigEndian: choice & 2 != 0, isPair: isPair, offset: offset,
    hasExtensions: true)
  let voxels: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
  if isPair {
    check.pair(header + chain, [UInt8](repeating: 0, count: offset) + voxels)
  } else {
    let outcome = check.single(header + chain + voxels)
    precondition(outcome != nil, "what is wrong with extensions keeps no voxels from being read")
  }
  return 0
}

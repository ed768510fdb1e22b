import FuzzSupport

nonisolated(unsafe) private let check = VolumeCheck()

/// Any bytes behind the magic of a Zstandard frame.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzZstd(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  check.single(
    [0x28, 0xB5, 0x2F, 0xFD] + UnsafeBufferPointer(start: start, count: count), plain: nil)
  return 0
}

import FuzzSupport

nonisolated(unsafe) private let check = VolumeCheck()

/// Any bytes as a single file, and cut in two as a pair.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHeader(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  check.single(bytes)
  check.pair(Array(bytes.prefix(352)), Array(bytes.dropFirst(352)))
  return 0
}

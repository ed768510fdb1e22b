import ByteIO
import FuzzSupport

nonisolated(unsafe) private let dataset = required { try MemoryDataset() }
private let pack = required { try dataset.contents(dataset.stage.packs[0].path) }

/// Bytes that are laid over a pack with one shard, from its end; the index of the shard is made to
/// match its checksum.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzShard(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let size = min(count, pack.count - 32)
  var bytes = Array(pack.dropLast(size)) + UnsafeBufferPointer(start: start, count: size)
  // The index of eight chunks is the last that the pack holds.
  let index = bytes.count - 8 * 16 - 4
  let end = bytes.count - 4
  let crc = bytes[index..<end].withUnsafeBytes { CRC32C.of($0) }
  bytes.withUnsafeMutableBytes { $0.storeLittle(crc, at: end) }
  dataset.replace(dataset.stage.packs[0].path, bytes)
  dataset.readAll()
  return 0
}

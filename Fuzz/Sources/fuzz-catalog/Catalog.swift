import ByteIO
import FuzzSupport
import FuzzZstd

nonisolated(unsafe) private let dataset = required { try MemoryDataset() }
private let catalog = required { try dataset.contents(dataset.stage.catalog.path) }

/// Bytes of a catalog behind its header, as they come if the first byte is even; else the records
/// of a block, in a catalog that is otherwise sound.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCatalog(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 1 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  var file = Array(catalog[..<32])
  if start[0] & 1 == 0 {
    file += bytes
  } else {
    file += block(bytes, records: UInt32(start[0] >> 1))
    let index = UInt64(file.count)
    // The page and the footer as they were, but for where they are.
    file += catalog[(catalog.count - 48 - 4096)...]
    let footer = file.count - 48
    file.withUnsafeMutableBytes { $0.storeLittle(index, at: footer + 24) }
    let crc = file[footer..<footer + 44].withUnsafeBytes { CRC32C.of($0) }
    file.withUnsafeMutableBytes { $0.storeLittle(crc, at: footer + 44) }
  }
  dataset.replace(dataset.stage.catalog.path, file)
  dataset.setCatalogSize(file.count)
  dataset.readAll()
  return 0
}

private func block(_ records: [UInt8], records count: UInt32) -> [UInt8] {
  var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(records.count))
  let context = ZSTD_createCCtx()
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  let size = ZSTD_compress2(context, &frame, frame.count, records, records.count)
  ZSTD_freeCCtx(context)
  frame.removeSubrange(size...)
  var result: [UInt8] = []
  result.appendLittle(UInt32(frame.count))
  result.appendLittle(UInt32(records.count))
  result.appendLittle(count)
  var crc = CRC32C()
  (result + frame).withUnsafeBytes { crc.update($0) }
  result.appendLittle(crc.value)
  return result + frame
}

internal import Storage
internal import Chunks
internal import Frames
internal import ByteIO

/// A block of records of a catalog; see vol-dataset(5).
enum CatalogBlock {
  /// Reads one.
  ///
  /// - Parameters:
  ///   - file: the catalog.
  ///   - offset: where it begins.
  ///   - end: where the blocks end.
  /// - Returns: its records, and where the next begins.
  /// - Throws: `FormatError` for damage; `IOFailure`.
  static func read(
    _ file: any ObjectReader, at offset: UInt64, before end: UInt64
  ) throws -> (records: [CatalogRecord], next: UInt64) {
    func damaged(_ what: String) -> FormatError { FormatError(file.path, at: offset, what) }
    guard offset >= UInt64(FileHeader.size), offset < end,
      end - offset >= UInt64(CatalogFormat.blockHeader)
    else { throw damaged("no block of records can begin here") }
    let headerEnd = offset + UInt64(CatalogFormat.blockHeader)
    var head = [UInt8](repeating: 0, count: CatalogFormat.blockHeader)
    _ = try head.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    let storedCount = Int(head.loadLittle(0, as: UInt32.self))
    let rawCount = Int(head.loadLittle(4, as: UInt32.self))
    let recordCount = Int(head.loadLittle(8, as: UInt32.self))
    guard storedCount <= CatalogFormat.maximumStoredBlock, rawCount <= CatalogFormat.maximumBlock,
      UInt64(storedCount) <= end - headerEnd
    else { throw damaged("a block of records has a length that is not allowed") }
    var stored = [UInt8](repeating: 0, count: storedCount)
    let taken = try stored.withUnsafeMutableBytes { try file.read(at: headerEnd, into: $0) }
    var crc = CRC32C()
    head[..<12].withUnsafeBytes { crc.update($0) }
    stored.withUnsafeBytes { crc.update($0) }
    guard taken == storedCount, crc.value == head.loadLittle(12, as: UInt32.self),
      let raw = stored.withUnsafeBytes({ Zstandard.decompress($0, size: rawCount) })
    else { throw damaged("a block of records is damaged") }
    var records: [CatalogRecord] = []
    let isWhole = raw.withUnsafeBytes { bytes in
      var cursor = ByteCursor(bytes)
      while cursor.remaining > 0, let record = CatalogRecord(&cursor) { records.append(record) }
      return cursor.remaining == 0
    }
    guard isWhole, records.count == recordCount, recordCount > 0 else {
      throw damaged("a block of records does not hold what it should")
    }
    return (records, headerEnd + UInt64(storedCount))
  }
}

internal import ByteIO

/// Reads the catalog of one stage: in order, or one volume by its id.
///
/// Every part is checked before it is used: page and block by their CRC-32C, lengths by the
/// format's limits and the file's size.
public final class CatalogReader {
  private let file: InputFile
  private let indexOffset: UInt64
  /// Pages of the index.
  let pages: Int
  /// Number of volumes.
  public let count: UInt64

  /// A name for messages.
  public var path: String { file.path }

  /// Opens the catalog of `stage`.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - stage: its id.
  ///   - bytes: the size that the manifest or stage record gives.
  /// - Throws: `FormatError` if it is damaged or another; `IOFailure`.
  public init(_ path: String, stage: String, bytes: UInt64) throws {
    let file = try InputFile.recorded(path, bytes: bytes)
    self.file = file
    try FileHeader.check(file, FileHeader.catalog, stage: stage, number: 0)
    var footer = [UInt8](repeating: 0, count: CatalogFormat.footerSize)
    guard bytes >= UInt64(FileHeader.size + footer.count) else {
      throw FormatError(path, "too short for a catalog")
    }
    let footerOffset = bytes - UInt64(footer.count)
    let taken = try footer.withUnsafeMutableBytes { try file.read(at: footerOffset, into: $0) }
    guard taken == footer.count, Array(footer[..<8]) == CatalogFormat.footerMagic,
      footer[..<44].withUnsafeBytes({ CRC32C.of($0) }) == footer.loadLittle(44, as: UInt32.self)
    else { throw FormatError(path, at: footerOffset, "the footer of the catalog is damaged") }
    count = footer.loadLittle(8, as: UInt64.self)
    indexOffset = footer.loadLittle(24, as: UInt64.self)
    let pageCount = footer.loadLittle(32, as: UInt64.self)
    let perPage = UInt64(CatalogFormat.entriesPerPage)
    guard indexOffset >= UInt64(FileHeader.size), indexOffset <= footerOffset,
      pageCount == (footerOffset - indexOffset) / UInt64(CatalogFormat.pageSize),
      (footerOffset - indexOffset) % UInt64(CatalogFormat.pageSize) == 0,
      pageCount == count / perPage + (count % perPage == 0 ? 0 : 1)
    else { throw FormatError(path, at: footerOffset, "the footer of the catalog is inconsistent") }
    pages = Int(pageCount)
  }

  // MARK: In order

  /// Visits all records in the order in which they were written.
  ///
  /// - Parameters:
  ///   - onDamage: if given, gets the error of each block that cannot be read, and how many records
  ///     it has by the index, and the visit goes on behind it.
  ///   - body: returns false to stop.
  /// - Throws: `FormatError` for damage that nobody takes; `IOFailure`; what the closures throw.
  public func forEachRecord(
    onDamage: ((any Error, UInt64) throws -> Void)? = nil, _ body: (CatalogRecord) throws -> Bool
  ) throws {
    var offset = UInt64(FileHeader.size)
    var seen: UInt64 = 0
    while offset < indexOffset {
      let block = Result { try readBlock(at: offset) }
      if let onDamage, case .failure(let error) = block {
        let (lost, next) = try blockBehind(offset)
        try onDamage(error, lost)
        seen += lost
        offset = next ?? indexOffset
        continue
      }
      let (records, next) = try block.get()
      for record in records {
        seen += 1
        guard try body(record) else { return }
      }
      offset = next
    }
    guard seen != count else { return }
    let error = FormatError(path, "it holds \(seen) records, its footer counts \(count)")
    guard let onDamage else { throw error }
    try onDamage(error, count > seen ? count - seen : 0)
  }

  /// What the index says of the block at `offset`: its number of records, and where the next begins.
  ///
  /// Pages that cannot be read say nothing.
  private func blockBehind(_ offset: UInt64) throws -> (records: UInt64, next: UInt64?) {
    var records: UInt64 = 0
    var next: UInt64?
    for number in 0..<pages {
      guard let page = try? readPage(number) else { continue }
      for index in 0..<page.count {
        let block = page.block(index)
        if block == offset { records += 1 }
        if block > offset, block < next ?? indexOffset { next = block }
      }
    }
    return (records, next)
  }

  // MARK: By id

  /// The record of `obsID`, or nil if this catalog has none.
  public func record(_ obsID: String) throws -> CatalogRecord? { try record(CatalogKey(obsID)) }

  /// The record of the id with `key`, or nil if this catalog has none.
  func record(_ key: CatalogKey) throws -> CatalogRecord? {
    guard let offset = try blockOffset(of: key) else { return nil }
    let (records, _) = try readBlock(at: offset)
    guard let record = records.first(where: { CatalogKey($0.obsID) == key }) else {
      throw FormatError(path, at: offset, "the index names a volume here that the block lacks")
    }
    return record
  }

  /// The offset of the block that holds the record with `key`, or nil.
  ///
  /// Keys are as good as random, so a page is guessed from the key's value; the guess is mended
  /// by what the page holds.
  func blockOffset(of key: CatalogKey) throws -> UInt64? {
    var low = 0
    var high = pages - 1
    var guess = Int(Double(key.high) / 18_446_744_073_709_551_616.0 * Double(pages))
    while low <= high {
      guess = min(max(guess, low), high)
      let page = try readPage(guess)
      let first = page.key(0)
      let last = page.key(page.count - 1)
      if key < first {
        high = guess - 1
        guess -= distance(key, first)
      } else if last < key {
        low = guess + 1
        guess += distance(last, key)
      } else {
        return page.block(of: key)
      }
    }
    return nil
  }

  /// All keys with their blocks, in order of the keys.
  func forEachKey(_ body: (CatalogKey, UInt64) throws -> Void) throws {
    for number in 0..<pages {
      let page = try readPage(number)
      for index in 0..<page.count { try body(page.key(index), page.block(index)) }
    }
  }

  /// About how many pages lie between two keys.
  private func distance(_ from: CatalogKey, _ to: CatalogKey) -> Int {
    Int(Double(to.high - from.high) / 18_446_744_073_709_551_616.0 * Double(pages)) + 1
  }

  /// A page that was checked.
  private struct Page {
    var bytes: [UInt8]
    var count: Int { Int(bytes.loadLittle(0, as: UInt32.self)) }

    func key(_ index: Int) -> CatalogKey { CatalogKey(bytes, at: offset(index)) }

    func block(_ index: Int) -> UInt64 { bytes.loadLittle(offset(index) + 16, as: UInt64.self) }

    func block(of key: CatalogKey) -> UInt64? {
      var low = 0
      var high = count
      while low < high {
        let middle = (low + high) / 2
        if self.key(middle) < key { low = middle + 1 } else { high = middle }
      }
      return low < count && self.key(low) == key ? block(low) : nil
    }

    private func offset(_ index: Int) -> Int {
      CatalogFormat.pageHeader + index * CatalogFormat.entrySize
    }
  }

  private func readPage(_ number: Int) throws -> Page {
    let offset = indexOffset + UInt64(number) * UInt64(CatalogFormat.pageSize)
    var bytes = [UInt8](repeating: 0, count: CatalogFormat.pageSize)
    let taken = try bytes.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    var crc = CRC32C()
    bytes[..<12].withUnsafeBytes { crc.update($0) }
    bytes[CatalogFormat.pageHeader...].withUnsafeBytes { crc.update($0) }
    let page = Page(bytes: bytes)
    guard taken == bytes.count, crc.value == bytes.loadLittle(12, as: UInt32.self),
      bytes.loadLittle(4, as: UInt32.self) == UInt32(number),
      (1...CatalogFormat.entriesPerPage).contains(page.count)
    else { throw FormatError(path, at: offset, "page \(number) of the index is damaged") }
    return page
  }

  private func readBlock(at offset: UInt64) throws -> ([CatalogRecord], next: UInt64) {
    func damaged(_ what: String) -> FormatError { FormatError(path, at: offset, what) }
    let headerEnd = offset + UInt64(CatalogFormat.blockHeader)
    guard offset >= UInt64(FileHeader.size), offset < indexOffset, headerEnd <= indexOffset else {
      throw damaged("no block of records can begin here")
    }
    var head = [UInt8](repeating: 0, count: CatalogFormat.blockHeader)
    _ = try head.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    let storedCount = Int(head.loadLittle(0, as: UInt32.self))
    let rawCount = Int(head.loadLittle(4, as: UInt32.self))
    let recordCount = Int(head.loadLittle(8, as: UInt32.self))
    guard storedCount <= CatalogFormat.maximumStoredBlock, rawCount <= CatalogFormat.maximumBlock,
      UInt64(storedCount) <= indexOffset - headerEnd
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

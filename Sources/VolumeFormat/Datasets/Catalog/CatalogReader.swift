internal import Storage
internal import Frames
public import ByteIO

/// Reads the catalog of one stage: in order, or one volume by its id.
///
/// Every part is checked before it is used: page and block by their CRC-32C, lengths by the
/// format's limits and the file's size.
public final class CatalogReader {
  private let file: any ObjectReader
  fileprivate let indexOffset: UInt64
  /// Pages of the index.
  let pages: Int
  /// Number of volumes.
  public let count: UInt64
  /// Number of blocks, as the footer has it.
  let blocks: UInt64

  /// A name for messages.
  public var path: String { file.path }

  /// Opens the catalog of `stage`.
  ///
  /// - Parameters:
  ///   - file: the object, which has the size that was recorded.
  ///   - stage: the stage's id.
  /// - Throws: `FormatError` if it is damaged or another; `IOFailure`.
  init(_ file: any ObjectReader, stage: String) throws {
    self.file = file
    let (path, bytes) = (file.path, file.bytes)
    try FileHeader.check(file, FileHeader.catalog, stage: stage, number: 0)
    var footer = [UInt8](repeating: 0, count: CatalogFormat.footerSize)
    guard bytes >= UInt64(FileHeader.size + footer.count) else {
      throw FormatError(path, "too short for a catalog")
    }
    let footerOffset = bytes - UInt64(footer.count)
    let taken = try footer.withUnsafeMutableBytes { try file.read(at: footerOffset, into: $0) }
    guard taken == footer.count, Array(footer[..<8]) == CatalogFormat.footerMagic,
      footer[..<44].withUnsafeBytes({ CRC32C.of($0) }) == footer.loadLittle(44, as: UInt32.self),
      footer.loadLittle(40, as: UInt32.self) == 0
    else { throw FormatError(path, at: footerOffset, "the footer of the catalog is damaged") }
    count = footer.loadLittle(8, as: UInt64.self)
    blocks = footer.loadLittle(16, as: UInt64.self)
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
    try forEachPlacedRecord(onDamage: onDamage) { record, _ in try body(record) }
  }

  /// The same; `body` gets the offset of the record's block, too.
  func forEachPlacedRecord(
    onDamage: ((any Error, UInt64) throws -> Void)? = nil,
    _ body: (CatalogRecord, UInt64) throws -> Bool
  ) throws {
    var offset = UInt64(FileHeader.size)
    var seen: UInt64 = 0
    var seenBlocks: UInt64 = 0
    var known = KnownBlocks()
    while offset < indexOffset {
      seenBlocks += 1
      let block = Result { try readBlock(at: offset) }
      if let onDamage, case .failure(let error) = block {
        let (lost, next) = known.behind(offset, in: self)
        try onDamage(error, lost)
        seen += lost
        offset = next ?? indexOffset
        continue
      }
      let (records, next) = try block.get()
      for record in records {
        seen += 1
        guard try body(record, offset) else { return }
      }
      offset = next
    }
    guard seen != count || seenBlocks != blocks else { return }
    let error = FormatError(
      path,
      "it holds \(seen) records in \(seenBlocks) blocks, its footer counts \(count) in \(blocks)")
    guard let onDamage else { throw error }
    try onDamage(error, count > seen ? count - seen : 0)
  }

  /// What the index says of blocks that cannot be read.
  ///
  /// Many are taken from the index at once, so that many damaged ones need few passes over it.
  private struct KnownBlocks {
    private static let atOnce = 1 << 16
    /// After so many pages that cannot be read, the others are not looked for.
    private static let maximumBadPages = 1000
    /// Offsets and numbers of records of some blocks that follow each other.
    private var blocks: [(offset: UInt64, records: UInt64)] = []
    /// From where to where these are all that the index has.
    private var range: Range<UInt64> = 0..<0

    /// The number of records of the block at `offset`, and where the next begins; pages that cannot
    /// be read say nothing.
    mutating func behind(
      _ offset: UInt64, in catalog: CatalogReader
    ) -> (records: UInt64, next: UInt64?) {
      if !range.contains(offset) || offset == blocks.last?.offset { load(from: offset, catalog) }
      var place = blocks.partition { $0.offset >= offset }
      var records: UInt64 = 0
      if place < blocks.count, blocks[place].offset == offset {
        records = blocks[place].records
        place += 1
      }
      return (records, place < blocks.count ? blocks[place].offset : nil)
    }

    private mutating func load(from offset: UInt64, _ catalog: CatalogReader) {
      var counts: [UInt64: UInt64] = [:]
      var end = catalog.indexOffset
      var badPages = 0
      for number in 0..<catalog.pages {
        guard let page = try? catalog.readPage(number) else {
          badPages += 1
          if badPages > Self.maximumBadPages { break }
          continue
        }
        for index in 0..<page.count {
          let block = page.block(index)
          if block >= offset, block < end { counts[block, default: 0] += 1 }
        }
        guard counts.count > 2 * Self.atOnce else { continue }
        // The first of them are kept.
        end = counts.keys.sorted()[Self.atOnce]
        counts = counts.filter { $0.key < end }
      }
      blocks = counts.map { ($0.key, $0.value) }.sorted { $0.offset < $1.offset }
      range = offset..<max(offset + 1, end)
    }
  }

  // MARK: By id

  /// The record of `obsID`, or nil if this catalog has none.
  ///
  /// - Throws: `FormatError` if it is damaged; `IOFailure`.
  public func record(_ obsID: ExactString) throws -> CatalogRecord? {
    try record(TextDigest(obsID))
  }

  /// The record of the id with `key`, or nil if this catalog has none.
  func record(_ key: TextDigest) throws -> CatalogRecord? {
    guard let offset = try blockOffset(of: key) else { return nil }
    let (records, _) = try readBlock(at: offset)
    guard let record = records.first(where: { $0.key == key }) else {
      throw FormatError(path, at: offset, "the index names a volume here that the block lacks")
    }
    guard records.count(where: { $0.obsID == record.obsID }) == 1 else {
      throw FormatError(path, at: offset, "it holds the id '\(record.obsID)' twice")
    }
    return record
  }

  /// The offset of the block that holds the record with `key`, or nil.
  ///
  /// Keys are as good as random, so a page is guessed from the key's value; the guess is mended
  /// by what the page holds.
  func blockOffset(of key: TextDigest) throws -> UInt64? {
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
        guard let index = page.index(of: key) else { return nil }
        let next =
          index + 1 < page.count
          ? page.key(index + 1) : guess + 1 < pages ? try readPage(guess + 1).key(0) : nil
        guard next != key else { throw FormatError(path, "its index holds an id twice") }
        return page.block(index)
      }
    }
    return nil
  }

  /// All keys with their blocks, in order of the keys.
  func forEachKey(_ body: (TextDigest, UInt64) throws -> Void) throws {
    for number in 0..<pages {
      let page = try readPage(number)
      for index in 0..<page.count { try body(page.key(index), page.block(index)) }
    }
  }

  /// About how many pages lie between two keys.
  private func distance(_ from: TextDigest, _ to: TextDigest) -> Int {
    Int(Double(to.high - from.high) / 18_446_744_073_709_551_616.0 * Double(pages)) + 1
  }

  /// A page that was checked.
  fileprivate struct Page {
    var bytes: [UInt8]
    var count: Int { Int(bytes.loadLittle(0, as: UInt32.self)) }

    func key(_ index: Int) -> TextDigest { TextDigest(bytes, at: offset(index)) }

    func block(_ index: Int) -> UInt64 { bytes.loadLittle(offset(index) + 16, as: UInt64.self) }

    /// The number of the first entry with `key`, or nil.
    func index(of key: TextDigest) -> Int? {
      var low = 0
      var high = count
      while low < high {
        let middle = (low + high) / 2
        if self.key(middle) < key { low = middle + 1 } else { high = middle }
      }
      return low < count && self.key(low) == key ? low : nil
    }

    /// Where its entries end.
    var end: Int { offset(count) }

    private func offset(_ index: Int) -> Int {
      CatalogFormat.pageHeader + index * CatalogFormat.entrySize
    }
  }

  fileprivate func readPage(_ number: Int) throws -> Page {
    let offset = indexOffset + UInt64(number) * UInt64(CatalogFormat.pageSize)
    var bytes = [UInt8](repeating: 0, count: CatalogFormat.pageSize)
    let taken = try bytes.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    var crc = CRC32C()
    bytes[..<12].withUnsafeBytes { crc.update($0) }
    bytes[CatalogFormat.pageHeader...].withUnsafeBytes { crc.update($0) }
    let page = Page(bytes: bytes)
    guard taken == bytes.count, crc.value == bytes.loadLittle(12, as: UInt32.self),
      bytes.loadLittle(4, as: UInt32.self) == UInt32(number),
      bytes.loadLittle(8, as: UInt32.self) == 0,
      (1...CatalogFormat.entriesPerPage).contains(page.count),
      bytes[page.end...].allSatisfy({ $0 == 0 })
    else { throw FormatError(path, at: offset, "page \(number) of the index is damaged") }
    return page
  }

  private func readBlock(at offset: UInt64) throws -> ([CatalogRecord], next: UInt64) {
    try CatalogBlock.read(file, at: offset, before: indexOffset)
  }
}

extension Dataset {
  /// Opens the catalog of a stage.
  ///
  /// - Throws: `FormatError` if it is damaged or another; `IOFailure`.
  public func catalog(_ stage: Stage) throws -> CatalogReader {
    try CatalogReader(try open(stage.catalog), stage: stage.stage)
  }
}

extension [(offset: UInt64, records: UInt64)] {
  /// The number of the first of these sorted blocks that meets a condition which all behind it meet.
  fileprivate func partition(_ condition: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if condition(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

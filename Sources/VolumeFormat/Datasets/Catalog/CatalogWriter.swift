internal import Storage
internal import Chunks
internal import Frames
internal import ByteIO

/// Sizes and marks of the catalog file; see vol-dataset(5).
enum CatalogFormat {
  static let footerMagic = Array("volcate1".utf8)
  static let footerSize = 48
  static let blockHeader = 16
  static let maximumBlock = 16 << 20
  static let maximumStoredBlock = 16_843_009
  static let pageSize = 4096
  static let pageHeader = 16
  static let entrySize = 24
  static let entriesPerPage = 170
  /// A block is closed when its records have this many bytes: about a hundred small volumes, so
  /// that looking one up costs a few kilobytes.
  static let blockTarget = 1 << 16
}

/// Writes the catalog of one stage.
///
/// Keeps one block of records and 24 bytes a volume in memory.
final class CatalogWriter {
  private let name: ObjectName
  private let store: any Store
  private let file: SealedFile
  private var block: [UInt8] = []
  private var blockRecords = 0
  private var blocks: UInt64 = 0
  private var entries: [(key: TextDigest, block: UInt64)] = []

  init(_ name: ObjectName, in store: any Store, stage: String) throws {
    self.name = name
    self.store = store
    file = try SealedFile(name, in: store, magic: FileHeader.catalog, stage: stage, number: 0)
  }

  /// Its path.
  var path: String { file.path }

  /// Number of records so far.
  var count: Int { entries.count }

  /// Adds a volume, whose id must be new in this catalog.
  func append(_ record: CatalogRecord) throws {
    if block.count >= CatalogFormat.blockTarget { try writeBlock() }
    let start = block.count
    record.encode(into: &block)
    if block.count - start - 4 > CatalogRecord.maximumSize {
      throw FormatError(record.obsID.string, "what is to be kept of this volume is over 8 MiB")
    }
    entries.append((record.key, file.size))
    blockRecords += 1
  }

  /// The record of a volume that was added; nil if there is none, or it cannot be had any more.
  ///
  /// It costs a look at all of them: it is for a message.
  func record(_ key: TextDigest) throws -> CatalogRecord? {
    guard let offset = entries.first(where: { $0.key == key })?.block else { return nil }
    try writeBlock()
    guard let written = try file.reader() else { return nil }
    let records = try CatalogBlock.read(written, at: offset, before: file.size)
    return records.records.first { $0.key == key }
  }

  /// Writes the index and the footer, and makes it whole, visible and lasting.
  func finish() throws -> FileEntry {
    try writeBlock()
    let indexOffset = file.size
    entries.sort { $0.key < $1.key }
    var number = 0
    while number * CatalogFormat.entriesPerPage < entries.count {
      let start = number * CatalogFormat.entriesPerPage
      let end = min(entries.count, start + CatalogFormat.entriesPerPage)
      try file.append(Self.page(number, entries[start..<end]))
      number += 1
    }
    var footer = CatalogFormat.footerMagic
    footer.appendLittle(UInt64(entries.count))
    footer.appendLittle(blocks)
    footer.appendLittle(indexOffset)
    footer.appendLittle(UInt64(number))
    footer.appendLittle(UInt32(0))
    footer.appendLittle(footer.withUnsafeBytes { CRC32C.of($0) })
    try file.append(footer)
    return try file.seal().entry(name)
  }

  /// Removes it.
  func abort() { file.abort() }

  private static func page(
    _ number: Int, _ entries: ArraySlice<(key: TextDigest, block: UInt64)>
  ) -> [UInt8] {
    var head: [UInt8] = []
    head.appendLittle(UInt32(entries.count))
    head.appendLittle(UInt32(number))
    head.appendLittle(UInt32(0))
    var body: [UInt8] = []
    body.reserveCapacity(CatalogFormat.pageSize)
    for entry in entries {
      body += entry.key.bytes
      body.appendLittle(entry.block)
    }
    body += [UInt8](
      repeating: 0, count: CatalogFormat.pageSize - CatalogFormat.pageHeader - body.count)
    var crc = CRC32C()
    head.withUnsafeBytes { crc.update($0) }
    body.withUnsafeBytes { crc.update($0) }
    head.appendLittle(crc.value)
    return head + body
  }

  private func writeBlock() throws {
    guard blockRecords > 0 else { return }
    let stored = block.withUnsafeBytes { Zstandard.compress($0) }
    var head: [UInt8] = []
    head.appendLittle(UInt32(stored.count))
    head.appendLittle(UInt32(block.count))
    head.appendLittle(UInt32(blockRecords))
    var crc = CRC32C()
    head.withUnsafeBytes { crc.update($0) }
    stored.withUnsafeBytes { crc.update($0) }
    head.appendLittle(crc.value)
    try file.append(head + stored)
    blocks += 1
    block.removeAll(keepingCapacity: true)
    blockRecords = 0
  }
}

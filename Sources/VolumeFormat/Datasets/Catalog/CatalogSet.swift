internal import ByteIO
internal import Frames

/// The catalogs of several stages, looked through for one id.
final class CatalogSet {
  /// So many catalogs are kept open; the others are opened for each look.
  private static let maximumOpen = 200
  /// After so many looks into a catalog, its keys are worth a filter in memory.
  private static let looksBeforeFilter = 64
  /// The most bytes of all filters; catalogs beyond are looked into.
  private static let maximumFilters = 64 << 20

  let stages: [Stage]
  private let dataset: Dataset
  private var readers: [Int: CatalogReader] = [:]
  private var looks: [Int]
  private var filters: [Int: KeyFilter] = [:]
  private var filterBytes = 0

  init(_ dataset: Dataset, _ stages: [Stage]) {
    self.dataset = dataset
    self.stages = stages
    looks = [Int](repeating: 0, count: stages.count)
  }

  /// The first stage that holds the id with `key`.
  func stage(holding key: TextDigest) throws -> Stage? {
    try index(holding: key).map { stages[$0] }
  }

  /// The number of the first stage that holds the id with `key`.
  func index(holding key: TextDigest) throws -> Int? {
    for index in stages.indices where try mayHold(index, key) {
      if try reader(index).blockOffset(of: key) != nil { return index }
    }
    return nil
  }

  /// The record of the id with `key`, and its stage.
  func record(_ key: TextDigest) throws -> (Stage, CatalogRecord)? {
    for index in stages.indices where try mayHold(index, key) {
      if let record = try reader(index).record(key) { return (stages[index], record) }
    }
    return nil
  }

  /// False only if the catalog surely lacks the key.
  private func mayHold(_ index: Int, _ key: TextDigest) throws -> Bool {
    if let filter = filters[index] { return filter.mayHold(key) }
    looks[index] += 1
    guard looks[index] > Self.looksBeforeFilter else { return true }
    let reader = try reader(index)
    // The footer of a damaged catalog may count any number.
    let bytes = reader.count.multipliedReportingOverflow(by: KeyFilter.bytesPerKey)
    guard !bytes.overflow, bytes.partialValue <= UInt64(Self.maximumFilters - filterBytes) else {
      return true
    }
    filterBytes += Int(bytes.partialValue)
    var filter = KeyFilter(count: Int(reader.count))
    try reader.forEachKey { key, _ in filter.insert(key) }
    filters[index] = filter
    return filter.mayHold(key)
  }

  private func reader(_ index: Int) throws -> CatalogReader {
    if let reader = readers[index] { return reader }
    let reader = try dataset.catalog(stages[index])
    if readers.count < Self.maximumOpen { readers[index] = reader }
    return reader
  }
}

/// A set of keys that may answer yes for a key that it lacks, in two bytes a key.
///
/// Source: Burton H. Bloom, Space/Time Trade-offs in Hash Coding, 1970. Keys are as good as random
/// and serve as their own hashes.
struct KeyFilter {
  /// What a key takes.
  static let bytesPerKey: UInt64 = 2
  private var bits: [UInt64]

  /// Makes room for `count` keys.
  init(count: Int) { bits = [UInt64](repeating: 0, count: max(1, count / 4 + 1)) }

  /// Adds a key.
  mutating func insert(_ key: TextDigest) {
    for place in places(key) { bits[place / 64] |= 1 << UInt64(place % 64) }
  }

  /// False only if the key was not added.
  func mayHold(_ key: TextDigest) -> Bool {
    places(key).allSatisfy { bits[$0 / 64] & 1 << UInt64($0 % 64) != 0 }
  }

  /// Four of sixteen bits a key: one look in 500 is in vain.
  private func places(_ key: TextDigest) -> [Int] {
    let size = UInt64(bits.count * 64)
    return (0..<4).map { Int((key.high &+ $0 &* (key.low | 1)) % size) }
  }
}

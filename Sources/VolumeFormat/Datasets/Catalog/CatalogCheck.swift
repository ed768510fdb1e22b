internal import Frames
internal import ByteIO

/// Holds the index of a catalog against its records, and both against their stage.
struct CatalogCheck {
  /// What keys and the offsets of their blocks add up to, in whatever order they come.
  ///
  /// The hash differs from run to run, so that nobody can make two sets of the same sum.
  private struct Sum: Equatable {
    private var total: UInt64 = 0
    private(set) var volumes: UInt64 = 0

    mutating func add(_ key: TextDigest, _ block: UInt64) {
      var hasher = Hasher()
      hasher.combine(key)
      hasher.combine(block)
      total &+= UInt64(bitPattern: Int64(hasher.finalize()))
      volumes += 1
    }
  }

  private let catalog: CatalogReader
  private let stage: Stage

  /// Prepares to check the catalog of `stage`.
  init(_ catalog: CatalogReader, _ stage: Stage) {
    self.catalog = catalog
    self.stage = stage
  }

  /// Reads all of it.
  ///
  /// - Parameters:
  ///   - onDamage: if given, gets what is wrong, and the check goes on.
  ///   - onKey: gets the keys of the index in their order.
  ///   - onRecord: gets the records in theirs.
  /// - Throws: `FormatError` for damage that nobody takes; `IOFailure`; what the closures throw.
  func run(
    onDamage: ((any Error) throws -> Void)? = nil, onKey: (TextDigest) -> Void = { _ in },
    onRecord: (CatalogRecord) throws -> Void = { _ in }
  ) throws {
    func found(_ reason: String) throws {
      let error = FormatError(catalog.path, reason)
      guard let onDamage else { throw error }
      try onDamage(error)
    }
    var isIndexWhole = true
    var index = Sum()
    var last: TextDigest?
    do {
      try catalog.forEachKey { key, block in
        guard last.map({ $0 < key }) ?? true else {
          throw FormatError(catalog.path, "its index is not in order")
        }
        last = key
        onKey(key)
        index.add(key, block)
      }
    } catch {
      guard let onDamage else { throw error }
      try onDamage(error)
      isIndexWhole = false
    }
    if isIndexWhole, index.volumes != stage.volumes {
      try found("its index has \(counted(index.volumes, "volume")), its stage \(stage.volumes)")
    }
    var records = Sum()
    var rawBytes: UInt64 = 0
    var areRecordsWhole = true
    try catalog.forEachPlacedRecord(
      onDamage: onDamage.map { report in
        { error, _ in
          areRecordsWhole = false
          try report(error)
        }
      },
      { record, block in
        records.add(record.key, block)
        rawBytes &+= record.rawBytes
        try onRecord(record)
        return true
      })
    // What could not be read was told already.
    guard isIndexWhole, areRecordsWhole else { return }
    if records != index { try found("its index does not lead to the blocks of its records") }
    if rawBytes != stage.rawBytes {
      try found("its volumes have \(rawBytes) bytes, its stage \(stage.rawBytes)")
    }
  }
}

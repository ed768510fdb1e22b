/// How volumes and the subject table match: who has no row, who has no volume.
public struct SubjectCensus {
  /// Volumes whose subject has no row in the table, or that have none.
  public private(set) var volumesWithoutRow: UInt64 = 0
  /// Subjects in the table without any volume.
  public private(set) var subjectsWithoutVolume: UInt64 = 0

  /// Counts.
  ///
  /// - Parameters:
  ///   - dataset: the dataset.
  ///   - stages: whose volumes count.
  ///   - subjects: the table.
  ///   - countsEmpty: whether subjects without volumes are counted, for which `stages` must be all.
  /// - Throws: `FormatError` for damage; `IOFailure`.
  public init(
    _ dataset: Dataset, _ stages: [Stage], _ subjects: SubjectsEntry, countsEmpty: Bool
  ) throws {
    var volumes: [CatalogKey: UInt64] = [:]
    for stage in stages {
      let catalog = try dataset.catalog(stage)
      try catalog.forEachRecord { record in
        if let subject = try record.subject(in: catalog.path) {
          volumes[CatalogKey(subject), default: 0] += 1
        } else {
          volumesWithoutRow += 1
        }
        return true
      }
    }
    var found: Set<CatalogKey> = []
    var last: String?
    let table = try SubjectTableReader(subjects, of: dataset)
    while let row = try table.next() {
      guard let subject = row[0], subject != last else { continue }
      last = subject
      let key = CatalogKey(subject)
      if volumes[key] == nil {
        subjectsWithoutVolume += 1
      } else {
        found.insert(key)
      }
    }
    for (key, count) in volumes where !found.contains(key) { volumesWithoutRow += count }
    if !countsEmpty { subjectsWithoutVolume = 0 }
  }

  /// What does not match, for a message; nil if all does.
  public var summary: String? {
    var parts: [String] = []
    if volumesWithoutRow > 0 { parts.append("volumes without a subject row: \(volumesWithoutRow)") }
    if subjectsWithoutVolume > 0 {
      parts.append("subjects without volumes: \(subjectsWithoutVolume)")
    }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }
}

/// The subjects of a snapshot: those of its table and those of its volumes.
///
/// Memory is that of the subjects' names and a number for each of their collections.
public struct SubjectList {
  /// A subject.
  public struct Subject: Sendable {
    /// Its id.
    public var id: String
    /// Its volumes in each collection of the snapshot, by name.
    public var volumes: [String: UInt64]
    /// Its rows in the table, in order; a value or nil a column.
    public var rows: [[String?]]
  }

  /// The columns of the table; none if there is no table.
  public let columns: [SubjectColumn]
  private let collections: [String]
  private let counts: [String: [UInt64]]
  private let order: [String]
  private let table: SubjectTableReader?

  /// Reads the catalogs of `snapshot`.
  public init(_ snapshot: Snapshot) throws {
    collections = snapshot.manifest.collections.keys.sorted()
    let places = Dictionary(
      uniqueKeysWithValues: collections.enumerated().map { ($1, $0) })
    let none = [UInt64](repeating: 0, count: collections.count)
    var counts: [String: [UInt64]] = [:]
    try snapshot.forEachVolume { stage, record in
      let source = snapshot.dataset.file(stage.catalog.path)
      guard let subject = try record.subject(in: source), let place = places[stage.collection]
      else {
        return true
      }
      counts[subject, default: none][place] += 1
      return true
    }
    self.counts = counts
    order = counts.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    table = try snapshot.manifest.subjects.map {
      try SubjectTableReader($0, of: snapshot.dataset)
    }
    columns = table?.columns ?? []
  }

  /// Visits all subjects, by the bytes of their ids; once only.
  public func forEach(_ body: (Subject) throws -> Void) throws {
    var row = try table?.next()
    var next = order[...]
    while true {
      let listed = row?[0]
      let held = next.first
      guard
        let id = [listed, held].compactMap(\.self)
          .min(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) })
      else { return }
      var rows: [[String?]] = []
      while let current = row, current[0] == id {
        rows.append(current)
        row = try table?.next()
      }
      if held == id { next = next.dropFirst() }
      let numbers = counts[id] ?? [UInt64](repeating: 0, count: collections.count)
      try body(
        Subject(
          id: id, volumes: Dictionary(uniqueKeysWithValues: zip(collections, numbers)), rows: rows))
    }
  }
}

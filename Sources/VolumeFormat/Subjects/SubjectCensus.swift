public import ByteIO

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
    var last: ExactString?
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
/// Memory is that of the subjects' names, and a few bytes for each collection that a subject has
/// volumes in.
public struct SubjectList {
  /// A subject.
  public struct Subject: Sendable {
    /// Its id.
    public var id: ExactString
    /// How many volumes it has in collections, by their places in `collections`; 0 in all others.
    public var volumes: [Int: UInt64]
    /// Its rows in the table, in order; a value or nil a column.
    public var rows: [[ExactString?]]
  }

  /// The columns of the table; none if there is no table.
  public let columns: [SubjectColumn]
  /// The names of the collections, sorted.
  public let collections: [ExactString]
  private let counts: [ExactString: [Place]]
  private let order: [ExactString]
  private let table: SubjectTableReader?

  /// How many volumes are in one collection.
  private struct Place {
    var collection: UInt32
    var volumes: UInt32
  }

  /// Reads the catalogs of `snapshot`.
  public init(_ snapshot: Snapshot) throws {
    collections = snapshot.manifest.collections.keys.sorted()
    let places = Dictionary(
      uniqueKeysWithValues: collections.enumerated().map { ($1, UInt32($0)) })
    var counts: [ExactString: [Place]] = [:]
    try snapshot.forEachVolume { stage, record in
      let source = snapshot.dataset.file(stage.catalog.path)
      guard let subject = try record.subject(in: source), let place = places[stage.collection]
      else {
        return true
      }
      Self.count(place, in: &counts[subject, default: []])
      return true
    }
    self.counts = counts
    order = counts.keys.sorted()
    table = try snapshot.manifest.subjects.map {
      try SubjectTableReader($0, of: snapshot.dataset)
    }
    columns = table?.columns ?? []
  }

  private static func count(_ collection: UInt32, in places: inout [Place]) {
    // Stages come one after the other, and so it is mostly the last.
    if let index = places.lastIndex(where: { $0.collection == collection }) {
      places[index].volumes &+= 1
    } else {
      places.append(Place(collection: collection, volumes: 1))
    }
  }

  /// Visits all subjects, by the bytes of their ids; once only.
  public func forEach(_ body: (Subject) throws -> Void) throws {
    var row = try table?.next()
    var next = order[...]
    while true {
      let listed = row?[0]
      let held = next.first
      guard let id = [listed, held].compactMap(\.self).min() else { return }
      var rows: [[ExactString?]] = []
      while let current = row, current[0] == id {
        rows.append(current)
        row = try table?.next()
      }
      if held == id { next = next.dropFirst() }
      let places = (counts[id] ?? []).map { (Int($0.collection), UInt64($0.volumes)) }
      try body(Subject(id: id, volumes: Dictionary(uniqueKeysWithValues: places), rows: rows))
    }
  }
}

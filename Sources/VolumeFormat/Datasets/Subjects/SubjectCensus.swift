internal import Frames
public import ByteIO

/// How volumes and the subject table match: who has no row, who has no volume.
public struct SubjectCensus {
  /// Volumes whose subject has no row in the table, or that have none.
  public private(set) var volumesWithoutRow: UInt64 = 0
  /// Subjects in the table without any volume.
  public private(set) var subjectsWithoutVolume: UInt64 = 0
  /// Some of these volumes, and of these subjects.
  private var volumeNames: [ExactString] = []
  private var subjectNames: [ExactString] = []
  private static let maximumNames = 3

  /// Counts.
  ///
  /// - Parameters:
  ///   - dataset: the dataset.
  ///   - stages: whose volumes count.
  ///   - subjects: the table.
  ///   - countsEmpty: whether subjects without volumes are counted, for which `stages` must be all.
  ///   - tables: staged ones, if only their subjects must have volumes.
  /// - Throws: `FormatError` for damage; `IOFailure`.
  public init(
    _ dataset: Dataset, _ stages: [Stage], _ subjects: SubjectsEntry, countsEmpty: Bool,
    of tables: [SubjectStage]? = nil
  ) throws {
    let counted = countsEmpty ? try tables.map { try Self.subjects(of: $0, dataset) } : []
    var volumes: [TextDigest: UInt64] = [:]
    for stage in stages {
      let catalog = try dataset.catalog(stage)
      try catalog.forEachRecord { record in
        if let subject = try record.subject(in: catalog.path) {
          volumes[TextDigest(subject), default: 0] += 1
        } else {
          volumesWithoutRow += 1
        }
        return true
      }
    }
    var found: Set<TextDigest> = []
    var last: ExactString?
    let table = try SubjectTableReader(subjects, of: dataset)
    while let row = try table.next() {
      guard let subject = row[0], subject != last else { continue }
      last = subject
      let key = TextDigest(subject)
      if volumes[key] != nil {
        found.insert(key)
      } else if counted?.contains(key) != false {
        subjectsWithoutVolume += 1
        if subjectNames.count < Self.maximumNames { subjectNames.append(subject) }
      }
    }
    for (key, count) in volumes where !found.contains(key) { volumesWithoutRow += count }
    if volumesWithoutRow > 0 { try nameVolumes(dataset, stages, found) }
  }

  /// The subjects of staged tables.
  private static func subjects(
    of tables: [SubjectStage], _ dataset: Dataset
  ) throws -> Set<TextDigest> {
    var keys: Set<TextDigest> = []
    for table in tables {
      let reader = try SubjectTableReader(table, of: dataset)
      while let row = try reader.next() {
        if let subject = row[0] { keys.insert(TextDigest(subject)) }
      }
    }
    return keys
  }

  /// Finds the first volumes whose subject has no row.
  private mutating func nameVolumes(
    _ dataset: Dataset, _ stages: [Stage], _ found: Set<TextDigest>
  ) throws {
    var names: [ExactString] = []
    for stage in stages where names.count < Self.maximumNames {
      let catalog = try dataset.catalog(stage)
      try catalog.forEachRecord { record in
        let subject = try record.subject(in: catalog.path)
        if subject.map({ found.contains(TextDigest($0)) }) != true { names.append(record.obsID) }
        return names.count < Self.maximumNames
      }
    }
    volumeNames = names
  }

  /// What does not match, for a message; nil if all does.
  public var summary: String? {
    var parts: [String] = []
    func add(_ what: String, _ count: UInt64, _ names: [ExactString]) {
      guard count > 0 else { return }
      let shown = names.map { bounded($0.string, 100) }.joined(separator: ", ")
      parts.append("\(what): \(count) (\(shown)\(count > names.count ? ", ..." : ""))")
    }
    add("volumes without a subject row", volumesWithoutRow, volumeNames)
    add("subjects without volumes", subjectsWithoutVolume, subjectNames)
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
  ///
  /// - Throws: `FormatError` for damage; `IOFailure`.
  public init(_ snapshot: Snapshot) throws {
    collections = snapshot.manifest.collections.keys.sorted()
    let places = Dictionary(
      uniqueKeysWithValues: collections.enumerated().map { ($1, UInt32($0)) })
    var counts: [ExactString: [Place]] = [:]
    try snapshot.forEachVolume { stage, record in
      let source = snapshot.dataset.name(of: stage.catalog)
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
  ///
  /// - Throws: `FormatError` for a damaged table; `IOFailure`; what `body` throws.
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

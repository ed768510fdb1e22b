internal import Storage
internal import Frames
internal import ByteIO

/// Merges subject tables, earlier and later, into a new one.
///
/// Rows are matched by subject, and by session where both tables have a column for it. Memory is
/// that of the rows of one subject.
struct SubjectMerge {
  private static let sessions: [ExactString] = ["session_id", "session"]

  private let earlier: SubjectTableReader
  private let later: SubjectTableReader
  private let columns: [SubjectColumn]
  /// Where each column stands in the two.
  private let places: [(earlier: Int?, later: Int?)]
  private let session: (earlier: Int, later: Int)?

  /// Prepares a merge.
  init(_ earlier: SubjectTableReader, _ later: SubjectTableReader) {
    self.earlier = earlier
    self.later = later
    let old = Dictionary(uniqueKeysWithValues: earlier.columns.enumerated().map { ($1.name, $0) })
    let new = Dictionary(uniqueKeysWithValues: later.columns.enumerated().map { ($1.name, $0) })
    let names =
      earlier.columns.map(\.name) + later.columns.map(\.name).filter { old[$0] == nil }
    places = names.map { (old[$0], new[$0]) }
    columns = names.map { name in
      let kinds = [
        old[name].map { earlier.columns[$0].type }, new[name].map { later.columns[$0].type },
      ].compactMap(\.self)
      return SubjectColumn(name: name, type: kinds.dropFirst().reduce(kinds[0]) { $0.joined($1) })
    }
    session =
      Self.sessions.lazy.compactMap { name in
        guard let a = old[name], let b = new[name] else { return nil }
        return (a, b)
      }.first
  }

  /// Writes the merged table as `name`; nothing is left there on failure.
  func write(to name: ObjectName, in store: any Store) throws -> (file: FileEntry, rows: UInt64) {
    let writer = try SubjectTableWriter(name, in: store, columns: columns)
    do {
      try write(to: writer)
      return (try writer.finish(), writer.rows)
    } catch {
      writer.abort()
      throw error
    }
  }

  private func write(to writer: SubjectTableWriter) throws {
    var old = try Groups(earlier)
    var new = try Groups(later)
    while old.subject != nil || new.subject != nil {
      let goesFirst = Self.order(old.subject, new.subject)
      let oldRows = goesFirst <= 0 ? try old.take() : []
      let newRows = goesFirst >= 0 ? try new.take() : []
      for row in merged(oldRows, newRows) { try writer.append(row) }
    }
  }

  /// The rows of one subject.
  private func merged(_ old: [[ExactString?]], _ new: [[ExactString?]]) -> [[ExactString?]] {
    func oldSession(_ row: [ExactString?]) -> ExactString? { session.flatMap { row[$0.earlier] } }
    func newSession(_ row: [ExactString?]) -> ExactString? { session.flatMap { row[$0.later] } }
    var result: [[ExactString?]] = []
    var isTaken: Set<ExactString?> = []
    let newBySession = Dictionary(grouping: new, by: newSession)
    let oldCounts = old.reduce(into: [:]) { $0[oldSession($1), default: 0] += 1 }
    for row in old {
      let own = oldSession(row)
      let others = newBySession[own] ?? []
      let isFirst = isTaken.insert(own).inserted
      if others.count <= 1 {
        result.append(joined(row, others.first))
      } else if isFirst {
        // One is merged with each of the others; of several and several the later hold.
        let isAlone = oldCounts[own] == 1
        for other in others { result.append(joined(isAlone ? row : nil, other)) }
      }
    }
    for row in new where !isTaken.contains(newSession(row)) { result.append(joined(nil, row)) }
    return result
  }

  private func joined(_ old: [ExactString?]?, _ new: [ExactString?]?) -> [ExactString?] {
    zip(columns, places).map { column, place in
      if let index = place.later, let value = new?[index] {
        return later.columns[index].converted(value, to: column.type)
      }
      if let index = place.earlier, let value = old?[index] {
        return earlier.columns[index].converted(value, to: column.type)
      }
      return nil
    }
  }

  /// -1, 0 or 1 as the first or the second comes first; none comes last.
  private static func order(_ a: ExactString?, _ b: ExactString?) -> Int {
    guard let a else { return b == nil ? 0 : 1 }
    guard let b else { return -1 }
    return a == b ? 0 : a < b ? -1 : 1
  }

  /// The rows of a table, a subject at a time.
  private struct Groups {
    private let reader: SubjectTableReader
    private var row: [ExactString?]?

    init(_ reader: SubjectTableReader) throws {
      self.reader = reader
      row = try reader.next()
    }

    /// The subject whose rows come next.
    var subject: ExactString? { row?[0] }

    mutating func take() throws -> [[ExactString?]] {
      let own = subject
      var rows: [[ExactString?]] = []
      while let next = row, subject == own {
        rows.append(next)
        if let defect = SubjectTableHeader.defect(rows: rows.count, columns: next.count) {
          throw FormatError(SubjectColumn.subject.string, "subject '\(next[0] ?? "")' \(defect)")
        }
        row = try reader.next()
      }
      return rows
    }
  }
}

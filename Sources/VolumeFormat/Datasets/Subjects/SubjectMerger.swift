internal import Storage
internal import Frames
internal import ByteIO

/// Makes the subject table of the next snapshot out of that of the current one and staged tables.
final class SubjectMerger {
  private struct Source: Hashable {
    var current: ObjectName?
    var tables: [String]
  }

  private let dataset: Dataset
  private let drafts: Drafts<Source, SubjectsEntry?>

  init(_ dataset: Dataset) {
    self.dataset = dataset
    drafts = Drafts(in: dataset.store)
  }

  /// The entry of the merged table; `current` itself if nothing is to be merged.
  ///
  /// - Throws: `FormatError` if a table is damaged; `IOFailure`.
  func merge(_ tables: [SubjectStage], into current: SubjectsEntry?) throws -> SubjectsEntry? {
    if tables.isEmpty { return current }
    let source = Source(current: current?.file.name, tables: tables.map(\.stage))
    return try drafts.draft(of: source) { try write(tables, onto: current) }
  }

  /// Removes what was written and is not `used`.
  ///
  /// - Throws: `IOFailure`.
  func removeUnused(besides used: SubjectsEntry?) throws {
    try drafts.removeUnused(besides: used.map { [$0.file.name] } ?? [])
  }

  /// Merges one table after the other; what comes of it, and its file if that was written for it.
  private func write(
    _ tables: [SubjectStage], onto current: SubjectsEntry?
  ) throws -> (SubjectsEntry?, ObjectName?) {
    var entry = current
    var written: [ObjectName] = []
    var kept: ObjectName?
    defer { try? dataset.store.remove(written.filter { $0 != kept }) }
    for table in tables {
      guard !table.replace, let before = entry else {
        // It is read whole once, so that what is committed is known to be whole.
        let reader = try SubjectTableReader(table, of: dataset)
        while try reader.next() != nil {}
        entry = SubjectsEntry(file: table.file, rows: table.rows, stages: [])
        continue
      }
      let name = Layout.subjects(dataset.session.identifier())
      let merge = SubjectMerge(
        try SubjectTableReader(before, of: dataset), try SubjectTableReader(table, of: dataset))
      let (file, rows) = try merge.write(to: name, in: dataset.store)
      written.append(name)
      entry = SubjectsEntry(file: file, rows: rows, stages: [])
    }
    entry?.stages = tables.map(\.stage)
    // A table that was staged is not ours to remove.
    kept = written.last { $0 == entry?.file.name }
    return (entry, kept)
  }
}

internal import Storage
internal import Frames
internal import ByteIO

/// Makes the subject table of the next snapshot out of that of the current one and staged tables.
///
/// What is written for a snapshot that another committer then made impossible is kept for the next
/// try, and removed if it is of no use.
final class SubjectMerger {
  private let dataset: Dataset
  /// By the path of the table before and the ids of those merged into it.
  private var made: [[String]: SubjectsEntry] = [:]

  init(_ dataset: Dataset) { self.dataset = dataset }

  /// The entry of the merged table; `current` itself if nothing is to be merged.
  func merge(_ tables: [SubjectStage], into current: SubjectsEntry?) throws -> SubjectsEntry? {
    if tables.isEmpty { return current }
    let key = [current?.file.path ?? ""] + tables.map(\.stage)
    if let entry = made[key] { return entry }
    var entry = current
    var intermediate: [ObjectName] = []
    defer { try? dataset.store.remove(intermediate) }
    for table in tables {
      guard !table.replace, let before = entry else {
        // It is read whole once, so that what is committed is known to be whole.
        let reader = try SubjectTableReader(table, of: dataset)
        while try reader.next() != nil {}
        entry = SubjectsEntry(file: table.file, rows: table.rows, stages: [])
        continue
      }
      let name = Layout.subjects(dataset.session.identifier())
      intermediate.append(name)
      let merge = SubjectMerge(
        try SubjectTableReader(before, of: dataset),
        try SubjectTableReader(table, of: dataset))
      let (file, rows) = try merge.write(to: name, in: dataset.store)
      entry = SubjectsEntry(file: file, rows: rows, stages: [])
    }
    entry?.stages = tables.map(\.stage)
    intermediate.removeAll { $0 == entry?.file.name }
    made[key] = entry
    return entry
  }

  /// Removes what was written and is not `used`.
  func removeUnused(besides used: SubjectsEntry?) throws {
    for (key, entry) in made where entry.file.name != used?.file.name {
      // A table that was staged is not ours to remove.
      let isStaged = key.dropFirst().contains { Layout.subjects($0) == entry.file.name }
      if !isStaged { try dataset.store.remove([entry.file.name]) }
    }
  }
}

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
    var intermediate: [String] = []
    defer { for path in intermediate { try? Publishing.remove(dataset.file(path)) } }
    for table in tables {
      guard !table.replace, let before = entry else {
        // It is read whole once, so that what is committed is known to be whole.
        let reader = try SubjectTableReader(table, of: dataset)
        while try reader.next() != nil {}
        entry = SubjectsEntry(file: table.file, rows: table.rows, stages: [])
        continue
      }
      let path = Layout.subjects(randomIdentifier())
      intermediate.append(path)
      let merge = SubjectMerge(
        try SubjectTableReader(before, of: dataset),
        try SubjectTableReader(table, of: dataset))
      let (seal, rows) = try merge.write(to: dataset.file(path))
      entry = SubjectsEntry(
        file: FileEntry(path: path, bytes: seal.bytes, sha256: seal.sha256), rows: rows, stages: [])
    }
    try Publishing.syncDirectory(dataset.file(Layout.subjects))
    entry?.stages = tables.map(\.stage)
    intermediate.removeAll { $0 == entry?.file.path }
    made[key] = entry
    return entry
  }

  /// Removes what was written and is not `used`.
  func removeUnused(besides used: SubjectsEntry?) throws {
    for (key, entry) in made where entry.file.path != used?.file.path {
      // A table that was staged is not ours to remove.
      let isStaged = key.dropFirst().contains { Layout.subjects($0) == entry.file.path }
      if !isStaged { try Publishing.remove(dataset.file(entry.file.path)) }
    }
  }
}

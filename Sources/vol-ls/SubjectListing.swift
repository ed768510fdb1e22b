import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

/// Lists the subjects of a snapshot.
struct SubjectListing {
  let snapshot: Snapshot
  let style: Listing.Style
  let output: LineWriter

  /// A row a subject with its volumes in each collection; or, if `missingOnly`, a row for each
  /// collection that a subject is missing from.
  func list(missingOnly: Bool) throws {
    let subjects = try SubjectList(snapshot)
    let collections = subjects.collections
    if missingOnly {
      var listing = Listing(["obs_subject_id", "collection"], style, output)
      try subjects.forEach { subject in
        for (place, name) in collections.enumerated() where subject.volumes[place] == nil {
          try listing.add([.text(subject.id), .text(name)])
        }
      }
      try listing.finish()
    } else if style == .json {
      try subjects.forEach { try output.bytes(try json($0, subjects)) }
    } else {
      let attributes = subjects.columns.dropFirst()
      var listing = Listing(
        ([SubjectColumn.subject] + attributes.map(\.name) + collections).map(\.string), style,
        output)
      try subjects.forEach { subject in
        // Of several rows, as by session, a value is shown that all of them share.
        let values: [Listing.Cell] = attributes.indices.map { column in
          let all = Set(subject.rows.map { $0[column] })
          return all.count == 1 ? (all.first ?? nil).map { .text($0) } ?? .none : .none
        }
        try listing.add(
          [.text(subject.id)] + values
            + collections.indices.map { .count(subject.volumes[$0] ?? 0) })
      }
      try listing.finish()
    }
  }

  /// Its id, its volumes by collection, and its rows with their types; one line.
  private func json(_ subject: SubjectList.Subject, _ list: SubjectList) throws -> [UInt8] {
    var line = JSONWriter()
    line.raw("{")
    line.key(SubjectColumn.subject)
    line.string(subject.id)
    line.key("volumes")
    line.raw("{")
    for (place, name) in list.collections.enumerated() {
      line.key(name)
      line.value(.integer(subject.volumes[place] ?? 0))
    }
    line.raw("}")
    line.key("attributes")
    line.raw("[")
    for (number, row) in subject.rows.enumerated() {
      line.raw(number > 0 ? ",{" : "{")
      for (place, column) in list.columns.enumerated().dropFirst() {
        line.key(column.name)
        try column.write(row[place], to: &line)
      }
      line.raw("}")
    }
    line.raw("]}\n")
    return line.bytes
  }
}

import ToolSupport
import VolumeFormat

/// Lists the subjects of a snapshot.
struct SubjectListing {
  let snapshot: Snapshot
  let style: Listing.Style
  let output: LineWriter

  /// A row a subject with its volumes in each collection; or, if `missingOnly`, a row for each
  /// collection that a subject is missing from.
  func list(missingOnly: Bool) throws {
    let subjects = try SubjectList(snapshot)
    let collections = snapshot.manifest.collections.keys.sorted()
    if missingOnly {
      var listing = Listing(["obs_subject_id", "collection"], style, output)
      try subjects.forEach { subject in
        for name in collections where subject.volumes[name] == 0 {
          try listing.add([.text(subject.id), .text(name)])
        }
      }
      try listing.finish()
    } else if style == .json {
      try subjects.forEach { try output.bytes(try json($0, subjects.columns) + [0x0A]) }
    } else {
      let attributes = subjects.columns.dropFirst()
      var listing = Listing(
        [SubjectColumn.subject] + attributes.map(\.name) + collections, style, output)
      try subjects.forEach { subject in
        // Of several rows, as by session, a value is shown that all of them share.
        let values: [Listing.Cell] = attributes.indices.map { column in
          let all = Set(subject.rows.map { $0[column] })
          return all.count == 1 ? (all.first ?? nil).map { .text($0) } ?? .none : .none
        }
        try listing.add(
          [.text(subject.id)] + values + collections.map { .count(subject.volumes[$0] ?? 0) })
      }
      try listing.finish()
    }
  }

  /// Its id, its volumes by collection, and its rows with their types.
  private func json(_ subject: SubjectList.Subject, _ columns: [SubjectColumn]) throws -> [UInt8] {
    var line = Array("{\"obs_subject_id\":".utf8) + (try JSON.encode(subject.id))
    line += Array(",\"volumes\":".utf8) + (try JSON.encode(subject.volumes))
    line += Array(",\"attributes\":[".utf8)
    for (number, row) in subject.rows.enumerated() {
      line.append(contentsOf: number > 0 ? Array(",{".utf8) : Array("{".utf8))
      for (place, column) in columns.enumerated().dropFirst() {
        if place > 1 { line.append(UInt8(ascii: ",")) }
        line += try JSON.encode(column.name) + [UInt8(ascii: ":")] + column.encoded(row[place])
      }
      line.append(UInt8(ascii: "}"))
    }
    return line + Array("]}".utf8)
  }
}

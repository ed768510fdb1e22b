public import ByteIO

/// A staged subject table, from its record.
public struct SubjectStage: Codable, Sendable {
  /// Its id, 32 hexadecimal digits.
  public var stage: String
  /// When it was finished, UTC.
  public var created: String
  /// Program and version that wrote it.
  public var tool: String
  /// Whether it starts over, and is not merged with the table before.
  public var replace: Bool
  /// Number of rows.
  public var rows: UInt64
  /// Its file.
  public var file: FileEntry

  enum CodingKeys: String, CodingKey {
    case stage, created, tool, replace, rows
    case file = "table"
  }

  /// What makes this unusable, or nil.
  func defect() -> String? {
    guard Names.isHexadecimal(stage, count: 32), file.path == Layout.subjects(stage) else {
      return "'path' is not that of its table"
    }
    return Names.isHexadecimal(file.sha256, count: 64)
      ? nil : "a 'sha256' is not 64 hexadecimal digits"
  }
}

/// Turns a table of a user's into a staged subject table.
public final class SubjectStager {
  /// The names that the column of the subject may have, if none is given.
  public static let keys = [SubjectColumn.subject, "participant_id"]

  private let dataset: Dataset
  private let key: String?
  private let replace: Bool
  private let tool: String
  private let stage = randomIdentifier()
  private let spool: SubjectSpool
  private var names: [String] = []
  private var kinds: [SubjectColumn.Kind?] = []

  /// Prepares a table.
  ///
  /// - Parameters:
  ///   - dataset: where it is staged.
  ///   - key: the name of the column of the subject; nil for those of `keys`.
  ///   - replace: whether it starts over.
  ///   - tool: program and version, for the record.
  /// - Throws: `IOFailure` if there is no room for its rows.
  public init(_ dataset: Dataset, key: String?, replace: Bool, tool: String) throws {
    self.dataset = dataset
    self.key = key
    self.replace = replace
    self.tool = tool
    spool = try SubjectSpool(
      dataset.file(Layout.temporary(Layout.subjects, stage)))
  }

  /// Takes lines of a TSV or CSV.
  ///
  /// - Throws: `FormatError` that names the line.
  public func take(_ reader: inout TableReader) throws {
    let key = try column(of: reader.names, reader.path)
    names = reader.names.enumerated().filter { $0.offset != key && !$0.element.isEmpty }
      .map(\.element)
    guard !names.contains(SubjectColumn.subject) else {
      throw FormatError(reader.path, "it has a column 'obs_subject_id' beside that of the subject")
    }
    kinds = [SubjectColumn.Kind?](repeating: nil, count: names.count)
    let places = reader.names.indices.filter { $0 != key && !reader.names[$0].isEmpty }
    while let line = try reader.next() {
      let texts = try line.fields.map { field in
        guard let text = String(validating: field, as: UTF8.self) else {
          throw FormatError(reader.path, "line \(line.number) is not in UTF-8")
        }
        return text
      }
      let cells = places.enumerated().map { column, place in
        let text = texts[place]
        if text.isEmpty || text == "n/a" { return SubjectSpool.Cell?.none }
        note(SubjectColumn.kind(of: text), column)
        return .text(text)
      }
      try append(texts[key], cells, reader.path, line.number)
    }
  }

  /// Takes lines that are JSON objects.
  ///
  /// - Throws: `FormatError` that names the line.
  public func takeObjects(_ lines: inout LineList, _ path: String) throws {
    var number = 0
    var places: [String: Int] = [:]
    while let line = try lines.next() {
      number += 1
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { continue }
      let object: ObjectLine
      do throws(FormatError) {
        object = try ObjectLine(line, in: path)
      } catch {
        throw FormatError(path, "line \(number): \(error.reason)")
      }
      let keys = (key.map { [$0] } ?? Self.keys).filter { object.values[$0] != nil }
      guard let key = keys.first, case .string(let subject)? = object.values[key] else {
        throw FormatError(path, "line \(number) has no subject as text")
      }
      var cells = [SubjectSpool.Cell?](repeating: nil, count: names.count)
      for member in object.members where member.key != key {
        let name = member.key
        if places[name] == nil {
          guard name != SubjectColumn.subject, !name.isEmpty else {
            throw FormatError(path, "line \(number) has a key that no column can have")
          }
          places[name] = names.count
          names.append(name)
          kinds.append(nil)
          cells.append(nil)
        }
        guard let column = places[name], let value = object.values[name] else { continue }
        if let (cell, kind) = try Self.cell(value, member.value) {
          note(kind, column)
          cells[column] = cell
        }
      }
      try append(subject, cells, path, number)
    }
  }

  /// The cell for a value, which stands in its line as `text`, and its kind; nil for no value.
  private static func cell(
    _ value: JSONValue, _ text: ArraySlice<UInt8>
  ) throws -> (SubjectSpool.Cell, SubjectColumn.Kind)? {
    switch value {
    case .null: return nil
    case .string(let text):
      return text.isEmpty || text == "n/a" ? nil : (.text(text), .text)
    case .boolean, .integer, .unsigned, .number:
      // As it was written, since a double may not hold it.
      let text = String(decoding: text, as: UTF8.self)
      let kind = SubjectColumn.kind(of: text)
      return (kind == .text ? .text(text) : .json(text), kind)
    case .array, .object:
      return (.json(String(decoding: try JSON.encode(value), as: UTF8.self)), .json)
    }
  }

  /// Writes the table and publishes its record.
  ///
  /// - Returns: nil if there is no row.
  /// - Throws: `FormatError`; `IOFailure`. Nothing is staged then.
  public func finish() throws -> SubjectStage? {
    if spool.count == 0 { return nil }
    let columns =
      [SubjectColumn(name: SubjectColumn.subject, type: .text)]
      + zip(names, kinds).map { SubjectColumn(name: $0, type: $1 ?? .text) }
    let path = Layout.subjects(stage)
    do {
      let writer = try SubjectTableWriter(creating: dataset.file(path), columns: columns)
      try spool.forEach { subject, cells in
        var row: [String?] = [subject]
        for (column, cell) in zip(columns.dropFirst(), cells) {
          row.append(try cell?.text(in: column.type))
        }
        row += [String?](repeating: nil, count: columns.count - row.count)
        try writer.append(row)
      }
      let seal = try writer.finish()
      try Publishing.syncDirectory(dataset.file(Layout.subjects))
      let record = SubjectStage(
        stage: stage, created: timestamp(), tool: tool, replace: replace, rows: writer.rows,
        file: FileEntry(path: path, bytes: seal.bytes, sha256: seal.sha256))
      try dataset.publish(record)
      return record
    } catch {
      try? Publishing.remove(dataset.file(path))
      throw error
    }
  }

  // MARK: Rows

  private func column(of names: [String], _ path: String) throws -> Int {
    for name in key.map({ [$0] }) ?? Self.keys {
      if let column = names.firstIndex(of: name) { return column }
    }
    let wanted = key.map { "'\($0)'" } ?? "'obs_subject_id' or 'participant_id'"
    throw FormatError(path, "its first line has no column \(wanted); --key names another")
  }

  private func append(
    _ subject: String, _ cells: [SubjectSpool.Cell?], _ path: String, _ number: Int
  ) throws {
    if let defect = subject == "n/a" ? "it is n/a" : Names.defect(ofID: subject) {
      throw FormatError(path, "line \(number) has a subject that cannot be one: \(defect)")
    }
    try spool.append(subject, cells)
  }

  private func note(_ kind: SubjectColumn.Kind, _ column: Int) {
    kinds[column] = kinds[column]?.joined(kind) ?? kind
  }
}

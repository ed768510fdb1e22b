internal import Storage
public import Frames
public import ByteIO

/// Turns a table of a user's into a staged subject table.
public final class SubjectStager {
  /// The names that the column of the subject may have, if none is given.
  public static let keys: [ExactString] = [SubjectColumn.subject, "participant_id"]

  private let dataset: Dataset
  private let key: ExactString?
  private let replace: Bool
  private let tool: String
  private let stage: String
  private let lease: Lease
  private let spool: SubjectSpool
  private let missing: MissingValues
  private var names: [ExactString] = []
  private var kinds: [SubjectColumn.Kind?] = []
  private var tokens: [NumberTokens] = []

  /// Prepares a table.
  ///
  /// - Parameters:
  ///   - dataset: where it is staged.
  ///   - key: the name of the column of the subject; nil for those of `keys`.
  ///   - replace: whether it starts over.
  ///   - missing: the values that say nothing.
  ///   - tool: program and version, for the record.
  /// - Throws: `IOFailure` if there is no room for its rows.
  public init(
    _ dataset: Dataset, key: ExactString?, replace: Bool, missing: MissingValues, tool: String
  ) throws {
    self.dataset = dataset
    self.key = key
    self.missing = missing
    self.replace = replace
    self.tool = tool
    stage = dataset.session.identifier()
    spool = SubjectSpool(in: try dataset.scratch())
    lease = try Lease(dataset, .write, tool: tool)
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
    tokens = [NumberTokens](repeating: NumberTokens(), count: names.count)
    let places = reader.names.indices.filter { $0 != key && !reader.names[$0].isEmpty }
    while let line = try reader.next() {
      var cells: [SubjectSpool.Cell] = []
      for (column, place) in places.enumerated() {
        guard let field = line.fields[place] else { continue }
        let text = try reader.text(field, place, of: line)
        note(SubjectColumn.kind(of: text), text, column, line.number)
        cells.append(.init(column: column, text: text, isJSON: false))
      }
      guard let subject = line.fields[key] else {
        throw FormatError(reader.path, "line \(line.number) has no subject")
      }
      try append(try reader.text(subject, key, of: line), cells, reader.path, line.number)
    }
  }

  /// Takes lines that are JSON objects.
  ///
  /// - Parameters:
  ///   - lines: the lines.
  ///   - path: a name for messages.
  ///   - repeated: gets each key that a line has twice, of which the last counts, and the line.
  /// - Throws: `FormatError` that names the line.
  public func takeObjects(
    _ lines: inout LineList, _ path: String, repeated: (ExactString, Int) -> Void
  ) throws {
    var number = 0
    var places: [ExactString: Int] = [:]
    while let line = try lines.next() {
      number += 1
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { continue }
      do {
        try take(
          JSONDocument(line, in: path).root.objectValue { repeated($0, number) }, &places, number)
      } catch let error as FormatError {
        throw FormatError(path, "line \(number): \(error.reason)")
      } catch let refusal as Refusal {
        throw FormatError(path, "line \(number) \(refusal.reason)")
      }
    }
  }

  /// Why a line is refused.
  private struct Refusal: Error { var reason: String }

  private func take(
    _ object: JSONObject, _ places: inout [ExactString: Int], _ number: Int
  ) throws {
    let keys = (key.map { [$0] } ?? Self.keys).filter { object[$0] != nil }
    guard let key = keys.first, case .string(let subject)? = object[key] else {
      throw Refusal(reason: "has no subject as text")
    }
    var cells: [SubjectSpool.Cell] = []
    for (name, value) in object where name != key {
      if places[name] == nil {
        guard name != SubjectColumn.subject, !name.isEmpty else {
          throw Refusal(reason: "has a key that no column can have")
        }
        guard names.count < SubjectTableHeader.maximumColumns - 1 else {
          throw Refusal(reason: "has more keys than a table has columns, 4,096")
        }
        places[name] = names.count
        names.append(name)
        kinds.append(nil)
        tokens.append(NumberTokens())
      }
      guard let column = places[name], let (text, kind) = cell(value) else { continue }
      note(kind, text, column, number)
      cells.append(.init(column: column, text: text, isJSON: kind != .text))
    }
    if let defect = Self.defect(of: subject) { throw Refusal(reason: defect) }
    try spool.append(subject, cells)
  }

  /// The text that is kept for a value, and its kind; nil for no value.
  private func cell(_ value: JSONValue) -> (ExactString, SubjectColumn.Kind)? {
    switch value {
    case .null: return nil
    case .string(let text): return missing.contains(text) ? nil : (text, .text)
    case .boolean(let flag): return (flag ? "true" : "false", .boolean)
    // As it was written, since a double may not hold it.
    case .number(let number): return (number.text, SubjectColumn.kind(of: number.text))
    case .array, .object:
      return (ExactString(String(decoding: JSON.encode(value), as: UTF8.self)), .json)
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
    defer { lease.end() }
    let writer = try SubjectTableWriter(
      Layout.subjects(stage), in: dataset.store, columns: columns)
    let record: SubjectStage
    do {
      let none = [ExactString?](repeating: nil, count: columns.count)
      try spool.forEach { subject, cells in
        var row = none
        row[0] = subject
        for cell in cells { row[cell.column + 1] = cell.text(in: columns[cell.column + 1].type) }
        try writer.append(row)
      }
      let file = try writer.finish()
      record = SubjectStage(
        stage: stage, created: dataset.session.timestamp(), tool: tool, replace: replace,
        rows: writer.rows, file: file)
    } catch {
      writer.abort()
      throw error
    }
    do {
      try dataset.publish([record])
      return record
    } catch let unsure as UnsureStage {
      lease.leave()
      throw unsure
    }
  }

  // MARK: Rows

  private func column(of names: [ExactString], _ path: String) throws -> Int {
    for name in key.map({ [$0] }) ?? Self.keys {
      if let column = names.firstIndex(of: name) { return column }
    }
    let wanted = key.map { "'\($0)'" } ?? "'obs_subject_id' or 'participant_id'"
    throw FormatError(path, "its first line has no column \(wanted); --key names another")
  }

  private func append(
    _ subject: ExactString, _ cells: [SubjectSpool.Cell], _ path: String, _ number: Int
  ) throws {
    if let defect = Self.defect(of: subject) {
      throw FormatError(path, "line \(number) \(defect)")
    }
    try spool.append(subject, cells)
  }

  private static func defect(of subject: ExactString) -> String? {
    let defect = subject == "n/a" ? "it is n/a" : Names.defect(ofID: subject)
    return defect.map { "has a subject that cannot be one: \($0)" }
  }

  private func note(
    _ kind: SubjectColumn.Kind, _ text: ExactString, _ column: Int, _ line: Int
  ) {
    kinds[column] = kinds[column]?.joined(kind) ?? kind
    tokens[column].note(kind, text, line)
  }

  /// What is to be said of columns of numbers that a word or two made columns of text.
  public var remarks: [String] {
    zip(names, tokens).compactMap { name, tokens in
      tokens.remark.map { "column '\(name)' is text, not numbers: \($0)" }
    }
  }
}

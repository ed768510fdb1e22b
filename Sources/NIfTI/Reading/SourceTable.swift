public import ByteIO
public import SystemPackage
public import Frames

/// A table whose lines name files and say what is known of them.
///
/// The `sub-X_scans.tsv` of the Brain Imaging Data Structure is one: it calls the column of the
/// files `filename`, and its paths begin at its own folder.
public struct SourceTable {
  private enum Column {
    case path, obsID, obsSubjectID, unnamed
    case attribute(ExactString)
  }

  private var reader: TableReader
  private let columns: [Column]
  private let folder: FilePath

  /// Reads the names of the columns.
  ///
  /// - Parameters:
  ///   - file: the table.
  ///   - pathColumn: the column of the files; nil for `path`, or `filename` in a BIDS one.
  ///   - folder: where its paths begin; nil for the current one, or in a BIDS one that it is in.
  ///   - missing: the fields that say nothing.
  /// - Throws: `FormatError` if there is no such column; `IOFailure`.
  public init(
    _ file: InputFile, pathColumn: ExactString? = nil, folder: FilePath? = nil,
    missing: MissingValues = MissingValues()
  ) throws {
    reader = try TableReader(file, missing: missing)
    let isBIDS =
      file.path.utf8.reversed().starts(with: "_scans.tsv".utf8.reversed())
      && !reader.names.contains("path")
    let pathColumn = pathColumn ?? (isBIDS ? "filename" : "path")
    self.folder =
      folder ?? (isBIDS ? FilePath(file.path).removingLastComponent() : FilePath(""))
    columns = reader.names.map { name in
      switch name {
      case pathColumn: .path
      case "obs_id": .obsID
      case "obs_subject_id": .obsSubjectID
      case "": .unnamed
      default: .attribute(name)
      }
    }
    guard reader.names.contains(pathColumn) else {
      let names = reader.names.prefix(10).map { "'\($0)'" }.joined(separator: ", ")
      throw FormatError(
        file.path,
        "its first line has no column '\(pathColumn)', only \(bounded(names, 500)); "
          + "--path-column names another")
    }
  }

  /// The volume of the next line; nil at the end.
  ///
  /// - Throws: `FormatError` for a line that is not as it must be; `NIfTIError` for a file that
  ///   cannot be one; `PassedOver` for what is no file; `IOFailure`.
  public mutating func next() throws -> VolumeSource? {
    guard let line = try reader.next() else { return nil }
    var path: FilePath?
    var described: [(Column, ExactString)] = []
    for (number, (column, field)) in zip(columns, line.fields).enumerated() {
      guard let field else { continue }
      if case .path = column {
        guard let named = FilePath(bytes: field) else {
          throw FormatError(reader.path, "line \(line.number) has a NUL in its path")
        }
        path = named
      } else if case .unnamed = column {
        continue
      } else {
        described.append((column, try reader.text(field, number, of: line)))
      }
    }
    guard var path else { throw FormatError(reader.path, "line \(line.number) has no path") }
    guard !StandardStream.isMeant(by: path) else {
      throw FormatError(reader.path, "line \(line.number) names standard input, not a file")
    }
    path = folder.pushing(path)
    if try FoundFile.status(of: path)?.kind == .folder {
      throw NIfTIError(path.string, "it is a folder; a table names files")
    }
    var source = VolumeSource(try SourcePath(path))
    try source.files.requireFiles()
    for (column, text) in described {
      switch column {
      case .obsID: source.obsID = try checked(text, "obs_id", line.number)
      case .obsSubjectID: source.obsSubjectID = try checked(text, "obs_subject_id", line.number)
      case .attribute(let name): source.attributes[name] = .string(text)
      case .path, .unnamed: break
      }
    }
    return source
  }

  private func checked(_ id: ExactString, _ column: String, _ number: Int) throws -> ExactString {
    if let defect = Names.defect(ofID: id) {
      throw FormatError(
        reader.path, "line \(number) has an \(column) that cannot be one: \(defect)")
    }
    return id
  }
}

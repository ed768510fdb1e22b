public import ByteIO
internal import SystemPackage
internal import VolumeFormat

/// A table whose lines name files and say what is known of them.
public struct SourceTable {
  private enum Column {
    case path, obsID, obsSubjectID, unnamed
    case attribute(ExactString)
  }

  private var reader: TableReader
  private let columns: [Column]

  /// Reads the names of the columns.
  ///
  /// - Throws: `FormatError` if there is no column `path`; `IOFailure`.
  public init(_ file: InputFile) throws {
    reader = try TableReader(file)
    columns = reader.names.map { name in
      switch name {
      case "path": .path
      case "obs_id": .obsID
      case "obs_subject_id": .obsSubjectID
      case "": .unnamed
      default: .attribute(name)
      }
    }
    guard reader.names.contains("path") else {
      let names = reader.names.prefix(10).map { "'\($0)'" }.joined(separator: ", ")
      throw FormatError(file.path, "its first line has no column 'path', only \(names)")
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
    for (column, bytes) in zip(columns, line.fields) {
      if bytes.isEmpty || bytes.elementsEqual("n/a".utf8) { continue }
      if case .path = column {
        guard let named = FilePath(bytes: bytes) else {
          throw FormatError(reader.path, "line \(line.number) has a NUL in its path")
        }
        path = named
      } else if case .unnamed = column {
        continue
      } else {
        guard let text = ExactString(validating: bytes) else {
          throw FormatError(reader.path, "line \(line.number) is not in UTF-8")
        }
        described.append((column, text))
      }
    }
    guard let path else { throw FormatError(reader.path, "line \(line.number) has no path") }
    guard path != "-" else {
      throw FormatError(reader.path, "line \(line.number) names standard input, not a file")
    }
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

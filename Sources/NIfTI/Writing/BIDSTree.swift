public import ByteIO
internal import SystemPackage
public import Frames

/// What a tree of the Brain Imaging Data Structure holds besides images: a JSON file beside each
/// that had one, `participants.tsv`, and `dataset_description.json`.
public final class BIDSTree: VolumeSink {
  private let images: NIfTISink
  private let writer: NIfTIWriter
  private let folder: OutputFolder
  private let root: FilePath
  private static let participants = "participants.tsv"
  private var current: (path: ExactString, sidecar: JSONObject?)?
  private var isDerived = false

  /// Writes into `folder`; files that exist are replaced or an error.
  ///
  /// - Parameters:
  ///   - folder: the root of the tree.
  ///   - gzip: level 1 to 9, or nil for plain images.
  ///   - replaces: whether files that exist are replaced.
  /// - Throws: `NIfTIWriter.Exists` if there are participants already, and they are to stay;
  ///   `IOFailure`.
  public init(folder: String, gzip: Int?, replaces: Bool) throws {
    let options = NIfTIWriter.Options(
      folder: folder, name: { try BIDSPath.path(of: $0) }, gzip: gzip, replaces: replaces)
    writer = NIfTIWriter(options)
    images = NIfTISink(writer)
    self.folder = OutputFolder(folder, options)
    root = FilePath(folder)
    // What could only be told at the end is told before all the work.
    _ = try self.folder.prepare(Self.participants)
  }

  // MARK: Images

  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.open`; `FormatError` if BIDS has no name for the volume.
  public func open(_ header: VolumeHeader) throws {
    var sidecar: JSONObject?
    if case .object(let object)? = header.attributes?["sidecar"] { sidecar = object }
    current = (try BIDSPath.path(of: header), sidecar)
    try images.open(header)
  }
  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.extra`.
  public func extra(_ bytes: [UInt8], afterVoxels: Bool) throws {
    try images.extra(bytes, afterVoxels: afterVoxels)
  }
  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.data`.
  public func data(_ bytes: UnsafeMutableRawBufferPointer) throws { try images.data(bytes) }
  /// See `VolumeSink`.
  ///
  /// - Throws: as `NIfTIWriter.close`, also for the sidecar.
  public func close() throws {
    try images.close()
    guard let (path, sidecar) = current else { return }
    if let sidecar { try write(sidecar, as: "\(path).json") }
    isDerived = isDerived || BIDSPath.isDerived(path)
    current = nil
  }
  /// See `VolumeSink`.
  public func drop(reason: String) { images.drop(reason: reason) }
  /// See `VolumeSink`.
  public func end(skipped: UInt64) { images.end(skipped: skipped) }
  /// See `VolumeSink`.
  public var voxelCRC: UInt32? { nil }

  /// Removes what is not whole.
  public func drop() { writer.drop() }

  // MARK: The data set

  /// What is known of the subjects.
  public struct SubjectRows {
    /// The names of its columns; the first is that of the subject.
    public var columns: [ExactString]
    /// Gives the next row, a value or nil a column; nil at the end.
    ///
    /// - Throws: anything, which `finish` passes on.
    public var next: () throws -> [ExactString?]?

    /// Takes rows from elsewhere.
    public init(columns: [ExactString], next: @escaping () throws -> [ExactString?]?) {
      self.columns = columns
      self.next = next
    }
  }

  /// Writes what is told of the whole: a row for each subject that has a folder, and the name.
  ///
  /// A description that is there stays. Of a subject with several rows in the table, as one for
  /// each session, a value is given where it is the same in all.
  ///
  /// - Parameters:
  ///   - name: of the data set.
  ///   - tool: name and version of the program.
  ///   - table: what is known of the subjects, if there is a table.
  /// - Throws: `NIfTIWriter.Exists`; `IOFailure`; what the table throws.
  public func finish(
    name: String, tool: (name: String, version: String), table: SubjectRows?
  ) throws {
    try folder.write(try participants(table), as: Self.participants)
    let description = "dataset_description.json"
    if try folder.has(description) { return }
    let generator: JSONObject = ["Name": .text(tool.name), "Version": .text(tool.version)]
    try write(
      [
        "Name": .text(name), "BIDSVersion": .text("1.10.0"),
        "DatasetType": .text(isDerived ? "derivative" : "raw"),
        "GeneratedBy": .array([.object(generator)]),
      ] as JSONObject, as: description)
  }

  private func participants(_ table: SubjectRows?) throws -> [UInt8] {
    let columns = (table?.columns ?? []).dropFirst().enumerated().filter {
      $0.element != "participant_id"
    }
    let subjects = Set(
      try directoryEntries(root).map(\.string).filter { BIDSName($0) != nil })
    var rows: [String: [ExactString?]] = [:]
    while let row = try table?.next() {
      guard let subject = row[0], let label = BIDSPath.label(ofSubject: subject),
        subjects.contains("sub-\(label)")
      else { continue }
      let values = columns.map { row[$0.offset + 1] }
      rows["sub-\(label)"] =
        rows["sub-\(label)"].map { known in
          zip(known, values).map { $0 == $1 ? $0 : nil }
        } ?? values
    }
    var text =
      (["participant_id"] + columns.map { tsvField($0.element.string) })
      .joined(separator: "\t") + "\n"
    for subject in subjects.sorted() {
      let values = rows[subject] ?? columns.map { _ in nil }
      text +=
        ([subject] + values.map { $0.map { tsvField($0.string) } ?? "n/a" })
        .joined(separator: "\t") + "\n"
    }
    return Array(text.utf8)
  }

  private func write(_ object: JSONObject, as name: String) throws {
    try folder.write(JSON.encode(object, pretty: true) + [0x0A], as: name)
  }
}

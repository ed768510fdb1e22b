internal import Chunks
internal import Frames
internal import ByteIO

/// Decides which volumes of a stream come into a stage, before their voxels do.
final class StageAdmission {
  /// A volume that may come in.
  struct Volume {
    var record: CatalogRecord
    var grid: ChunkGrid
    var collection: ExactString
    var key: TextDigest
    /// The volume that the dataset has under its id.
    var twin: Twin?
  }

  /// A volume that the dataset has under the id of the present one.
  struct Twin {
    var match: ExistingVolumes.Match
    var comparison: VolumeComparison
    /// Whether the present one is not written, whatever comes of the comparison.
    var isOnlyCompared: Bool
  }

  /// A volume that cannot come in, and why.
  struct Refused: Error { var reason: FormatError }

  private let destination: StageOptions.Destination
  private let options: StageOptions
  private let existing: ExistingVolumes
  /// Why records of what is staged cannot be read, whose volumes are not known therefore.
  var unread: [any Error] { existing.unread }
  private var collections: [ExactString]
  private var keys: Set<TextDigest> = []

  /// Looks at the current snapshot of `dataset`, and at what is staged if ids may be there already.
  ///
  /// - Throws: `FormatError` for a name that no collection may have, or a damaged dataset.
  init(
    _ dataset: Dataset, _ destination: StageOptions.Destination, _ options: StageOptions
  ) throws {
    self.destination = destination
    self.options = options
    existing = try ExistingVolumes(dataset, withStaged: options.existing != .refuse)
    collections = existing.collections.sorted()
    if case .collection(let name) = destination, let defect = defect(ofCollection: name) {
      throw FormatError(name.string, "no name for a collection: \(defect)")
    }
  }

  /// Lets a volume in.
  ///
  /// - Parameters:
  ///   - header: its header.
  ///   - reader: the stream, for messages.
  ///   - first: finds the record of an earlier volume of this run.
  /// - Returns: what is known of it, to be written or compared.
  /// - Throws: `Refused`, which names volume and offset, if it cannot come in; `FormatError` and
  ///   `IOFailure` for the dataset.
  func admit(
    _ header: VolumeHeader, _ reader: FrameReader,
    first: (TextDigest) throws -> CatalogRecord?
  ) throws -> Volume {
    func refusal(_ reason: String) -> Refused {
      Refused(
        reason: FormatError(
          reader.source, at: reader.frameOffset, "volume '\(header.label)': \(reason)"))
    }
    if let objection = options.objection(header) { throw refusal(objection) }
    let collection: ExactString
    let id: ExactString
    do throws(FormatError) {
      collection = try destination.collection(of: header)
      id =
        try options.obsID?.name(of: header, collection: collection)
        ?? NameTemplate.defaultObsID(of: header, collection: collection)
    } catch {
      throw refusal(error.reason)
    }
    if let defect = defect(ofCollection: collection) {
      throw refusal("'\(collection)' cannot be its collection: \(defect)")
    }
    if let defect = Names.defect(ofID: id) { throw refusal("'\(id)' cannot be its id: \(defect)") }
    if let subject = header.obsSubjectID, let defect = Names.defect(ofID: subject) {
      throw refusal("'\(subject)' cannot be its subject: \(defect)")
    }
    let key = TextDigest(id)
    if keys.contains(key) {
      throw refusal(try collision(id, header, with: first(key)))
    }
    if options.existing == .refuse, let stage = try existing.stage(holding: key) {
      throw refusal(
        "the id '\(id)' is in collection '\(stage.collection)' of the dataset already; "
          + "--obs-id makes another, --skip-existing passes over it")
    }
    let (record, grid) = try record(of: header, id, key, refusal)
    let twin = try findTwin(key, header, collection, reader)
    keys.insert(key)
    return Volume(record: record, grid: grid, collection: collection, key: key, twin: twin)
  }

  /// Forgets a volume that was taken back, so that its id is free again.
  func forget(_ key: TextDigest) { keys.remove(key) }

  /// Whether a volume is the same as its twin, and so is left out.
  ///
  /// - Throws: `Refused` if it is another, and may not take the twin's place.
  func settle(_ twin: Twin, crc32: UInt32, _ reader: FrameReader) throws -> Bool {
    if try twin.comparison.isSame(crc32: crc32) { return true }
    guard !twin.isOnlyCompared else {
      throw Refused(
        reason: FormatError(
          reader.source, at: reader.frameOffset, volume: twin.match.record.obsID.string,
          twin.match.isCommitted
            ? "the dataset has another volume under this id; --replace puts this one in its place"
            : "stage \(twin.match.stage.stage) has another volume under this id; commit it first"))
    }
    return false
  }

  // MARK: Checks

  /// What is wrong with the name of a collection, or nil; each is looked at once.
  private func defect(ofCollection name: ExactString) -> String? {
    if collections.contains(name) { return nil }
    if let defect = Names.defect(ofCollection: name) { return defect }
    if let (_, other) = Names.firstSpeltTwoWays([name] + collections) {
      return "the dataset has this collection in another spelling of Unicode: '\(other)'"
    }
    collections.append(name)
    return nil
  }

  private func collision(
    _ id: ExactString, _ header: VolumeHeader, with first: CatalogRecord?
  ) throws -> String {
    let other = try first?.header(in: "").source?.path
    guard let path = header.source?.path, let other else {
      return "the id '\(id)' occurs twice in this run; --obs-id makes ids that differ"
    }
    return "the id '\(id)' is that of '\(bounded(other.string, 300))' and of "
      + "'\(bounded(path.string, 300))'; --obs-id makes ids that differ, as from '{path}'"
  }

  private func record(
    of header: VolumeHeader, _ id: ExactString, _ key: TextDigest, _ refusal: (String) -> Refused
  ) throws -> (CatalogRecord, ChunkGrid) {
    let chunk = options.chunk.resolve(header.shape)
    guard let grid = ChunkGrid(shape: header.shape, chunk: chunk, voxelBytes: header.voxelBytes)
    else {
      throw refusal(
        "chunks of \(chunk.map(String.init).joined(separator: ",")) for its shape are over "
          + "\(ChunkGrid.maximumChunkBytes >> 20) MiB each or over \(ChunkGrid.maximumChunks) in "
          + "number; choose others with --chunk")
    }
    var header = header
    header.obsID = id
    header.collection = nil
    let json = JSON.encode(header.json)
    guard json.count <= CatalogRecord.maximumHeader else {
      throw refusal("its header is over \(CatalogRecord.maximumHeader) bytes long")
    }
    let record = CatalogRecord(
      obsID: id, key: key, headerJSON: json, rawBytes: header.byteCount,
      isShuffled: options.shuffle && header.dtype.size > 1, chunk: chunk)
    return (record, grid)
  }

  private func findTwin(
    _ key: TextDigest, _ header: VolumeHeader, _ collection: ExactString, _ reader: FrameReader
  ) throws -> Twin? {
    guard options.existing != .refuse, let (match, stored) = try existing.match(key) else {
      return nil
    }
    guard match.stage.collection == collection else {
      throw Refused(
        reason: FormatError(
          reader.source, at: reader.frameOffset, volume: match.record.obsID.string,
          "it is in collection '\(match.stage.collection)' of the dataset, not in '\(collection)'"))
    }
    return Twin(
      match: match, comparison: VolumeComparison(header, with: stored),
      isOnlyCompared: options.existing == .skip || !match.isCommitted)
  }
}

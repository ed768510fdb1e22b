import VolumeFormat

/// What is listed of a volume.
enum VolumeRow {
  static let names = [
    "obs_id", "obs_subject_id", "shape", "dtype", "voxel_spacing", "chunk", "raw_bytes",
    "stored_bytes",
  ]

  static func cells(_ header: VolumeHeader, _ record: CatalogRecord) -> [Listing.Cell] {
    [
      .text(record.obsID), header.obsSubjectID.map { .text($0) } ?? .none, .counts(header.shape),
      .text(type(header)), header.voxelSpacing.map { .reals($0) } ?? .none, .counts(record.chunk),
      .bytes(record.rawBytes), .bytes(record.storedBytes),
    ]
  }

  static let streamNames = [
    "name", "obs_subject_id", "shape", "dtype", "voxel_spacing", "raw_bytes",
  ]

  static func streamCells(_ header: VolumeHeader) -> [Listing.Cell] {
    [
      .text(header.label), header.obsSubjectID.map { .text($0) } ?? .none, .counts(header.shape),
      .text(type(header)), header.voxelSpacing.map { .reals($0) } ?? .none,
      .bytes(header.byteCount),
    ]
  }

  /// The whole header, and where and how the volume is stored, as one line.
  static func json(_ header: VolumeHeader, _ record: CatalogRecord) throws -> [UInt8] {
    var header = header
    header.obsID = record.obsID
    header.other["chunk"] = .array(record.chunk.map { .integer(Int64($0)) })
    header.other["raw_bytes"] = .unsigned(record.rawBytes)
    header.other["stored_bytes"] = .unsigned(record.storedBytes)
    return try JSON.encode(header) + [0x0A]
  }

  private static func type(_ header: VolumeHeader) -> String {
    header.channels == 1 ? header.dtype.rawValue : "\(header.dtype.rawValue)x\(header.channels)"
  }
}

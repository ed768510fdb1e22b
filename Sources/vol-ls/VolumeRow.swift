import ByteIO
import Datasets
import Frames

/// What is listed of a volume.
enum VolumeRow {
  static let names = [
    "obs_id", "obs_subject_id", "shape", "dtype", "voxel_spacing", "chunk", "raw_bytes",
    "stored_bytes",
  ]

  static func cells(_ volume: VolumeSummary, _ record: CatalogRecord) -> [Listing.Cell] {
    [
      .text(record.obsID), volume.obsSubjectID.map { .text($0) } ?? .none, .counts(volume.shape),
      .text(type(volume.dtype, volume.channels)), volume.voxelSpacing.map { .reals($0) } ?? .none,
      .counts(record.chunk),
      .bytes(record.rawBytes), .bytes(record.storedBytes),
    ]
  }

  static let streamNames = [
    "name", "obs_subject_id", "shape", "dtype", "voxel_spacing", "raw_bytes",
  ]

  static func streamCells(_ header: VolumeHeader) -> [Listing.Cell] {
    [
      .text(ExactString(header.label)), header.obsSubjectID.map { .text($0) } ?? .none,
      .counts(header.shape),
      .text(type(header.dtype, header.channels)), header.voxelSpacing.map { .reals($0) } ?? .none,
      .bytes(header.byteCount),
    ]
  }

  private static func type(_ dtype: DataType, _ channels: Int) -> ExactString {
    ExactString(channels == 1 ? dtype.rawValue : "\(dtype.rawValue)x\(channels)")
  }
}

/// What a list shows of a volume, decoded in a fraction of the time that its whole header takes.
public struct VolumeSummary: Sendable {
  /// The subject that the volume belongs to.
  public var obsSubjectID: String?
  /// Voxels along X, Y, Z, T and further axes.
  public var shape: [Int]
  /// Type of the stored values.
  public var dtype: DataType
  /// Values a voxel.
  public var channels: Int
  /// Along X, Y and Z.
  public var voxelSpacing: [Double]?
  /// Whether the header has keys of the names that a list adds.
  var hasListKeys: Bool
}

extension VolumeSummary: Decodable {
  enum CodingKeys: String, CodingKey {
    case shape, dtype, channels, chunk
    case obsSubjectID = "obs_subject_id"
    case voxelSpacing = "voxel_spacing"
    case rawBytes = "raw_bytes"
    case storedBytes = "stored_bytes"
  }

  /// Decodes what is of use.
  public init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    shape = try c.decode([Int].self, forKey: .shape)
    dtype = try c.decode(DataType.self, forKey: .dtype)
    channels = try c.decodeIfPresent(Int.self, forKey: .channels) ?? 1
    obsSubjectID = try c.decodeIfPresent(String.self, forKey: .obsSubjectID)
    voxelSpacing = try c.decodeIfPresent([Double].self, forKey: .voxelSpacing)
    hasListKeys =
      c.contains(.chunk) || c.contains(.rawBytes) || c.contains(.storedBytes)
  }
}

extension CatalogRecord {
  /// What a list shows of the volume.
  public func summary(in source: String) throws(FormatError) -> VolumeSummary {
    try JSON.decode(VolumeSummary.self, from: headerJSON, in: source)
  }

  /// The whole header as one line of JSON, with `chunk`, `raw_bytes` and `stored_bytes` added.
  public func listing(in source: String) throws -> [UInt8] {
    let summary = try summary(in: source)
    // As it was written it is one object on one line, whose text can be kept.
    if !summary.hasListKeys, headerJSON.first == UInt8(ascii: "{"),
      headerJSON.last == UInt8(ascii: "}"), !headerJSON.contains(0x0A)
    {
      let chunk = self.chunk.map(String.init).joined(separator: ",")
      let more =
        ",\"chunk\":[\(chunk)],\"raw_bytes\":\(rawBytes),\"stored_bytes\":\(storedBytes)}\n"
      return Array(headerJSON.dropLast()) + Array(more.utf8)
    }
    var header = try header(in: source)
    header.obsID = obsID
    header.other["chunk"] = .array(chunk.map { .integer(Int64($0)) })
    header.other["raw_bytes"] = .unsigned(rawBytes)
    header.other["stored_bytes"] = .unsigned(storedBytes)
    return try JSON.encode(header) + [0x0A]
  }
}

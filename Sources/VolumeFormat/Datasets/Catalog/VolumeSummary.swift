public import Frames
public import ByteIO

/// What a list shows of a volume, decoded in a fraction of the time that its whole header takes.
public struct VolumeSummary: Sendable {
  /// The subject that the volume belongs to.
  public var obsSubjectID: ExactString?
  /// Voxels along X, Y, Z, T and further axes.
  public var shape: [Int]
  /// Type of the stored values.
  public var dtype: DataType
  /// Values a voxel.
  public var channels: Int
  /// Along X, Y and Z.
  public var voxelSpacing: [Double]?

  fileprivate init(_ node: JSONNode) throws(FormatError) {
    shape = try node.required("shape").integers()
    dtype = try DataType(node.required("dtype"))
    channels = try node.optional("channels")?.integer() ?? 1
    obsSubjectID = try node.optional("obs_subject_id")?.string()
    voxelSpacing = try node.optional("voxel_spacing")?.doubles()
  }
}

extension CatalogRecord {
  /// What a list shows of the volume.
  ///
  /// - Throws: `FormatError` if it is none of this volume's.
  public func summary(in source: String) throws(FormatError) -> VolumeSummary {
    try summary(headerNode(in: source), source)
  }

  private func summary(
    _ node: JSONNode, _ source: String
  ) throws(FormatError) -> VolumeSummary {
    let result = try VolumeSummary(node)
    var header = VolumeHeader(name: nil, shape: result.shape, dtype: result.dtype)
    header.obsID = obsID
    header.obsSubjectID = result.obsSubjectID
    header.channels = result.channels
    try check(header, in: source)
    return result
  }

  /// Writes the whole header as one line of JSON, with `chunk`, `raw_bytes` and `stored_bytes`.
  ///
  /// - Throws: `FormatError` if it is none of this volume's.
  public func list(in source: String, to writer: inout JSONWriter) throws(FormatError) {
    let node = try headerNode(in: source)
    // No list shows what no reader takes.
    _ = try summary(node, source)
    writer.raw("{")
    try writer.members(of: node, but: ["chunk", "raw_bytes", "stored_bytes"])
    writer.key("chunk")
    writer.value(.array(chunk.map { .integer($0) }))
    writer.key("raw_bytes")
    writer.value(.integer(rawBytes))
    writer.key("stored_bytes")
    writer.value(.integer(storedBytes))
    writer.raw("}\n")
  }
}

/// What an open frame says of its volume; see vol-frames(5) for every key.
public struct VolumeHeader: Sendable, Equatable {
  /// The limits that `shape` must keep to.
  public static let maximumAxes = 7
  /// Voxel bytes of one volume: every integer up to here is exact in any JSON reader.
  public static let maximumBytes: UInt64 = 1 << 53

  /// Name of the source.
  public var name: String?
  /// The id, unique in a dataset.
  public var obsID: String?
  /// The subject that the volume belongs to.
  public var obsSubjectID: String?
  /// The collection that it was read from.
  public var collection: String?
  /// Voxels along X, Y, Z, T and further axes.
  public var shape: [Int]
  /// Type of the stored values.
  public var dtype: DataType
  /// Values a voxel, the channel running faster than X.
  public var channels: Int = 1
  /// Factor from stored values to what they stand for, if there is one.
  public var slope: Double?
  /// What is added after `slope`.
  public var intercept: Double?
  /// 4x4, rows first: voxel index to RAS+ millimetres.
  public var affine: [[Double]]?
  /// `sform`, `qform` or `pixdim`.
  public var affineSource: String?
  /// 4x4, in the units of the source.
  public var qform: [[Double]]?
  /// NIfTI's code of `qform`.
  public var qformCode: Int?
  /// 4x4, in the units of the source.
  public var sform: [[Double]]?
  /// NIfTI's code of `sform`.
  public var sformCode: Int?
  /// Millimetres where the unit is known.
  public var voxelSpacing: [Double]?
  /// Seconds where the unit is known.
  public var repetitionTime: Double?
  /// Units of the axes.
  public var units: Units?
  /// What the voxels mean.
  public var intent: Intent?
  /// Free text of the source's header (NIfTI `descrip`).
  public var sourceDescription: String?
  /// What the user or the file name says of the volume.
  public var attributes: [String: JSONValue]?
  /// What was wrong with the source and how it was read.
  public var quirks: [String]?
  /// Where the volume came from.
  public var source: Source?
  /// Keys that this version does not know, passed on as they are.
  public var other: [String: JSONValue] = [:]

  /// Units of the axes.
  public struct Units: Codable, Sendable, Equatable {
    /// Of X, Y and Z, such as `mm`.
    public var space: String?
    /// Of T, such as `s`.
    public var time: String?
    /// The source's own code.
    public var code: Int?
    /// Makes units.
    public init(space: String?, time: String?, code: Int?) {
      self.space = space
      self.time = time
      self.code = code
    }
  }

  /// What the voxels mean (NIfTI intent).
  public struct Intent: Codable, Sendable, Equatable {
    /// NIfTI's code.
    public var code: Int
    /// Three numbers whose meaning depends on the code.
    public var parameters: [Double]
    /// Free text.
    public var name: String
    /// Makes an intent.
    public init(code: Int, parameters: [Double], name: String) {
      self.code = code
      self.parameters = parameters
      self.name = name
    }
  }

  /// Where the volume came from, and what is needed to make that file again.
  public struct Source: Codable, Sendable, Equatable {
    /// `nifti1`, `nifti2` or `analyze75`.
    public var format: String
    /// The path as it was given.
    public var path: String?
    /// `little` or `big`.
    public var byteOrder: String
    /// `single` or `pair`.
    public var layout: String
    /// `none`, `gzip` or `zstd`.
    public var compression: String?
    /// The header as it is in the source, without extensions.
    public var header: Base64?
    /// The header of a NIfTI file that this volume was derived from.
    public var template: Base64?
    /// In a pair, how many of the leading extra bytes are the header file.
    public var headerBytes: UInt64?

    enum CodingKeys: String, CodingKey {
      case format, path, layout, compression, header, template
      case byteOrder = "byte_order"
      case headerBytes = "header_bytes"
    }

    /// Makes a source.
    public init(
      format: String, path: String?, byteOrder: String, layout: String, compression: String?,
      header: [UInt8]?, headerBytes: UInt64?
    ) {
      self.format = format
      self.path = path
      self.byteOrder = byteOrder
      self.layout = layout
      self.compression = compression
      self.header = header.map(Base64.init)
      self.headerBytes = headerBytes
    }
  }

  /// Makes a header with what is required.
  public init(name: String?, shape: [Int], dtype: DataType) {
    self.name = name
    self.shape = shape
    self.dtype = dtype
  }

  /// Bytes a voxel, all channels.
  public var voxelBytes: Int { dtype.size * channels }

  /// Number of voxels, if `defect` finds none.
  public var voxelCount: UInt64 { shape.reduce(1) { $0 * UInt64($1) } }

  /// Bytes of all voxels, if `defect` finds none.
  public var byteCount: UInt64 { voxelCount * UInt64(voxelBytes) }

  /// What to call the volume in a message.
  public var label: String { obsID ?? name ?? "unnamed" }

  /// What keeps this header from being used, or nil.
  public func defect() -> String? {
    if name == nil && obsID == nil { return "neither 'name' nor 'obs_id' is given" }
    guard (1...Self.maximumAxes).contains(shape.count) else {
      return "'shape' has \(shape.count) axes, not 1 to \(Self.maximumAxes)"
    }
    guard [1, 3, 4].contains(channels) else { return "'channels' is \(channels), not 1, 3 or 4" }
    var bytes = UInt64(voxelBytes)
    for extent in shape {
      guard extent >= 1 else { return "'shape' holds \(extent)" }
      let (product, overflow) = bytes.multipliedReportingOverflow(by: UInt64(extent))
      guard !overflow, product <= Self.maximumBytes else {
        return "'shape' stands for more than 2^53 bytes"
      }
      bytes = product
    }
    if let affine, affine.count != 4 || affine.contains(where: { $0.count != 4 }) {
      return "'affine' is not 4x4"
    }
    return nil
  }
}

extension VolumeHeader: Codable {
  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, collection, shape, dtype, channels, slope, intercept, affine, qform, sform, units
    case intent, attributes, quirks, source
    case obsID = "obs_id"
    case obsSubjectID = "obs_subject_id"
    case affineSource = "affine_source"
    case qformCode = "qform_code"
    case sformCode = "sform_code"
    case voxelSpacing = "voxel_spacing"
    case repetitionTime = "repetition_time"
    case sourceDescription = "description"
  }

  /// Decodes a header, keeping keys that it does not know.
  public init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    shape = try c.decode([Int].self, forKey: .shape)
    dtype = try c.decode(DataType.self, forKey: .dtype)
    channels = try c.decodeIfPresent(Int.self, forKey: .channels) ?? 1
    name = try c.decodeIfPresent(String.self, forKey: .name)
    obsID = try c.decodeIfPresent(String.self, forKey: .obsID)
    obsSubjectID = try c.decodeIfPresent(String.self, forKey: .obsSubjectID)
    collection = try c.decodeIfPresent(String.self, forKey: .collection)
    slope = try c.decodeIfPresent(Double.self, forKey: .slope)
    intercept = try c.decodeIfPresent(Double.self, forKey: .intercept)
    affine = try c.decodeIfPresent([[Double]].self, forKey: .affine)
    affineSource = try c.decodeIfPresent(String.self, forKey: .affineSource)
    qform = try c.decodeIfPresent([[Double]].self, forKey: .qform)
    qformCode = try c.decodeIfPresent(Int.self, forKey: .qformCode)
    sform = try c.decodeIfPresent([[Double]].self, forKey: .sform)
    sformCode = try c.decodeIfPresent(Int.self, forKey: .sformCode)
    voxelSpacing = try c.decodeIfPresent([Double].self, forKey: .voxelSpacing)
    repetitionTime = try c.decodeIfPresent(Double.self, forKey: .repetitionTime)
    units = try c.decodeIfPresent(Units.self, forKey: .units)
    intent = try c.decodeIfPresent(Intent.self, forKey: .intent)
    sourceDescription = try c.decodeIfPresent(String.self, forKey: .sourceDescription)
    attributes = try c.decodeIfPresent([String: JSONValue].self, forKey: .attributes)
    quirks = try c.decodeIfPresent([String].self, forKey: .quirks)
    source = try c.decodeIfPresent(Source.self, forKey: .source)
    let all = try decoder.container(keyedBy: JSONKey.self)
    for key in all.allKeys where CodingKeys(rawValue: key.stringValue) == nil {
      other[key.stringValue] = try all.decode(JSONValue.self, forKey: key)
    }
  }

  /// Encodes what is present.
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(shape, forKey: .shape)
    try c.encode(dtype, forKey: .dtype)
    if channels != 1 { try c.encode(channels, forKey: .channels) }
    try c.encodeIfPresent(name, forKey: .name)
    try c.encodeIfPresent(obsID, forKey: .obsID)
    try c.encodeIfPresent(obsSubjectID, forKey: .obsSubjectID)
    try c.encodeIfPresent(collection, forKey: .collection)
    try c.encodeIfPresent(slope, forKey: .slope)
    try c.encodeIfPresent(intercept, forKey: .intercept)
    try c.encodeIfPresent(affine, forKey: .affine)
    try c.encodeIfPresent(affineSource, forKey: .affineSource)
    try c.encodeIfPresent(qform, forKey: .qform)
    try c.encodeIfPresent(qformCode, forKey: .qformCode)
    try c.encodeIfPresent(sform, forKey: .sform)
    try c.encodeIfPresent(sformCode, forKey: .sformCode)
    try c.encodeIfPresent(voxelSpacing, forKey: .voxelSpacing)
    try c.encodeIfPresent(repetitionTime, forKey: .repetitionTime)
    try c.encodeIfPresent(units, forKey: .units)
    try c.encodeIfPresent(intent, forKey: .intent)
    try c.encodeIfPresent(sourceDescription, forKey: .sourceDescription)
    try c.encodeIfPresent(attributes, forKey: .attributes)
    try c.encodeIfPresent(quirks, forKey: .quirks)
    try c.encodeIfPresent(source, forKey: .source)
    var all = encoder.container(keyedBy: JSONKey.self)
    for (key, value) in other { try all.encode(value, forKey: JSONKey(stringValue: key)) }
  }
}

public import ByteIO

/// What an open frame says of its volume; see vol-frames(5) for every key.
public struct VolumeHeader: Sendable, Equatable {
  /// The limits that `shape` must keep to.
  public static let maximumAxes = 7
  /// Voxel bytes of one volume: every integer up to here is exact in any JSON reader.
  public static let maximumBytes: UInt64 = 1 << 53

  /// Name of the source.
  public var name: ExactString?
  /// The id, unique in a dataset.
  public var obsID: ExactString?
  /// The subject that the volume belongs to.
  public var obsSubjectID: ExactString?
  /// The collection that it was read from.
  public var collection: ExactString?
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
  public var affineSource: ExactString?
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
  public var sourceDescription: ExactString?
  /// What the user or the file name says of the volume.
  public var attributes: JSONObject?
  /// What was wrong with the source and how it was read.
  public var quirks: [ExactString]?
  /// Where the volume came from.
  public var source: Source?
  /// Keys that this version does not know, passed on as they are.
  public var other = JSONObject()

  /// Units of the axes.
  public struct Units: Sendable, Equatable {
    /// Of X, Y and Z, such as `mm`.
    public var space: ExactString?
    /// Of T, such as `s`.
    public var time: ExactString?
    /// The source's own code.
    public var code: Int?
    /// Keys that this version does not know.
    var other = JSONObject()
    /// Makes units.
    public init(space: ExactString?, time: ExactString?, code: Int?) {
      self.space = space
      self.time = time
      self.code = code
    }
  }

  /// What the voxels mean (NIfTI intent).
  public struct Intent: Sendable, Equatable {
    /// NIfTI's code.
    public var code: Int
    /// Three numbers whose meaning depends on the code.
    public var parameters: [Double]
    /// Free text.
    public var name: ExactString
    /// Keys that this version does not know.
    var other = JSONObject()
    /// Makes an intent.
    public init(code: Int, parameters: [Double], name: ExactString) {
      self.code = code
      self.parameters = parameters
      self.name = name
    }
  }

  /// Where the volume came from, and what is needed to make that file again.
  public struct Source: Sendable, Equatable {
    /// `nifti1`, `nifti2` or `analyze75`.
    public var format: ExactString
    /// The path as it was given.
    public var path: ExactString?
    /// `little` or `big`.
    public var byteOrder: ExactString
    /// `single` or `pair`.
    public var layout: ExactString
    /// `none`, `gzip` or `zstd`.
    public var compression: ExactString?
    /// The header of the file that this volume is, as it stands there, without extensions.
    public var header: Base64?
    /// The header of a file that this volume was derived from, and no longer is.
    public var template: Base64?
    /// In a pair, how many of the leading extra bytes are the header file.
    public var headerBytes: UInt64?
    /// Keys that this version does not know.
    var other = JSONObject()

    /// Makes a source.
    public init(
      format: ExactString, path: ExactString?, byteOrder: ExactString, layout: ExactString,
      compression: ExactString?, header: [UInt8]?, headerBytes: UInt64?
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
  public init(name: ExactString?, shape: [Int], dtype: DataType) {
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
  public var label: String { (obsID ?? name)?.string ?? "unnamed" }

  /// What keeps this header from being used, or nil.
  public func defect() -> String? {
    if name == nil && obsID == nil { return "neither 'name' nor 'obs_id' is given" }
    if let name, let defect = Names.defect(ofSource: name) {
      return "'name' is not allowed: \(defect)"
    }
    for (key, id) in [("obs_id", obsID), ("obs_subject_id", obsSubjectID)] {
      if let id, let defect = Names.defect(ofID: id) { return "'\(key)' is not allowed: \(defect)" }
    }
    if let collection, let defect = Names.defect(ofCollection: collection) {
      return "'collection' is not allowed: \(defect)"
    }
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

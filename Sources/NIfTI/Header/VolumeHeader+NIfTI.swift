internal import ByteIO
internal import Frames

extension VolumeHeader {
  /// The frame header of a volume with this NIfTI header.
  init(
    _ header: NIfTIHeader, layout: VoxelLayout, name: ExactString, source: VolumeHeader.Source,
    quirks more: [String]
  ) {
    self.init(name: name, shape: layout.shape, dtype: layout.dtype)
    channels = layout.channels
    let geometry = Geometry(header, shape: layout.shape)
    affine = geometry.affine
    affineSource = geometry.source
    voxelSpacing = geometry.spacing
    qform = geometry.qform
    qformCode = header.qformCode
    sform = geometry.sform
    sformCode = header.sformCode
    var quirks = header.quirks + layout.quirks + geometry.quirks + more
    if let scaling = header.scaling(channels: layout.channels) {
      (slope, intercept) = scaling
    } else if layout.channels == 1, header.slope.isFinite, header.slope != 0 {
      quirks.append("scl_inter is \(header.intercept), no scaling")
    }
    units = Self.units(header.units)
    if layout.shape.count > 3 {
      repetitionTime = Self.repetitionTime(header.pixdim[4], units: header.units)
    }
    if header.intentCode != 0 || !header.intentName.isEmpty {
      intent = Intent(
        code: header.intentCode, parameters: header.intentParameters,
        name: ExactString(header.intentName))
    }
    if !header.descrip.isEmpty { sourceDescription = ExactString(header.descrip) }
    if !quirks.isEmpty { self.quirks = quirks.map { ExactString($0) } }
    self.source = source
  }

  /// Seconds that a step of `step` along T takes, where it is one and the unit is of time.
  static func repetitionTime(_ step: Double, units: Int) -> Double? {
    guard step.isFinite, step > 0 else { return nil }
    return stepsPerSecond(units).map { step / $0 }
  }

  /// How many of the unit of time of these units are a second; nil for another or no unit.
  static func stepsPerSecond(_ units: Int) -> Double? {
    switch units & timeMask {
    case 8: 1
    case 16: 1e3
    case 24: 1e6
    default: nil
    }
  }

  /// The bits of a code of units that are the unit of X, Y and Z.
  static let spaceMask = 7
  /// The bits that are the unit of T.
  static let timeMask = 0x38

  static let spaceUnits: [Int: ExactString] = [1: "m", 2: "mm", 3: "um"]
  static let timeUnits: [Int: ExactString] = [
    8: "s", 16: "ms", 24: "us", 32: "Hz", 40: "ppm", 48: "rad/s",
  ]

  private static func units(_ code: Int) -> Units? {
    guard code != 0 else { return nil }
    return Units(
      space: spaceUnits[code & spaceMask], time: timeUnits[code & timeMask], code: code)
  }

  /// The bits for the name of a unit, 0 if it has none.
  static func bits(of name: ExactString?, in units: [Int: ExactString]) -> Int {
    units.first { $0.value == name }?.key ?? 0
  }
}

extension NIfTIHeader {
  /// What turns stored values into those that they stand for: only where the slope is a number
  /// other than 0, and never of colours.
  func scaling(channels: Int) -> (slope: Double, intercept: Double)? {
    guard channels == 1, slope.isFinite, slope != 0, intercept.isFinite else { return nil }
    return (slope, intercept)
  }
}

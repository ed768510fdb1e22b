internal import ByteIO
internal import VolumeFormat

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
    // Scaling counts only where the slope is a number other than 0; colours have none.
    if layout.channels == 1, header.slope.isFinite, header.slope != 0 {
      if header.intercept.isFinite {
        slope = header.slope
        intercept = header.intercept
      } else {
        quirks.append("scl_inter is \(header.intercept), no scaling")
      }
    }
    units = Self.units(header.units)
    if layout.shape.count > 3, header.pixdim[4].isFinite, header.pixdim[4] > 0 {
      switch header.units & 0x38 {
      case 8: repetitionTime = header.pixdim[4]
      case 16: repetitionTime = header.pixdim[4] / 1e3
      case 24: repetitionTime = header.pixdim[4] / 1e6
      default: break
      }
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

  private static func units(_ code: Int) -> Units? {
    guard code != 0 else { return nil }
    let space: ExactString? =
      switch code & 7 {
      case 1: "m"
      case 2: "mm"
      case 3: "um"
      default: nil
      }
    let time: ExactString? =
      switch code & 0x38 {
      case 8: "s"
      case 16: "ms"
      case 24: "us"
      case 32: "Hz"
      case 40: "ppm"
      case 48: "rad/s"
      default: nil
      }
    return Units(space: space, time: time, code: code)
  }
}

internal import ByteIO
internal import Frames

/// The header of the file that a volume was derived from, made to fit the volume.
///
/// Of each field that the open header speaks of, what it means in the template is compared with
/// what the open header says, and the field is written only where they differ. All other bytes stay.
struct TemplateHeader {
  private let volume: VolumeHeader
  /// What the template says of the file that it comes from.
  private let source: ParsedHeader
  private var fields: HeaderFields

  /// Makes header and extension flag of a single file; nil if the volume has no template, or it is one that cannot
  /// be made to fit: of Analyze, or of NIfTI-1 for an axis over 32,767.
  ///
  /// - Throws: `NIfTIError` if the template is no header, or NIfTI cannot hold what is wanted.
  static func make(_ volume: VolumeHeader) throws(NIfTIError) -> HeaderFields? {
    guard let bytes = volume.source?.template?.bytes else { return nil }
    let source = try ParsedHeader(bytes)
    guard source.header.format != .analyze75 else { return nil }
    var made = TemplateHeader(
      volume: volume, source: source,
      fields: HeaderFields(
        bytes: bytes, isSecond: source.header.format == .nifti2,
        isBigEndian: source.header.isBigEndian))
    guard made.setShape() else { return nil }
    try made.setType()
    made.setScaling()
    made.setUnitsAndTime()
    try made.setGeometry()
    made.setTexts()
    made.fields.beSingleFile()
    return made.fields
  }

  // MARK: Voxels

  /// False if an axis is too long.
  private mutating func setShape() -> Bool {
    let (new, old) = (volume.shape, source.volume.shape)
    guard new != old else { return true }
    // FreeSurfer keeps a long first axis in fields of all three, which change together.
    let isSpaceKept = new.prefix(3) == old.prefix(3)
    for axis in new.indices
    where axis < 3 ? !isSpaceKept : axis >= old.count || new[axis] != old[axis] {
      guard fields.isSecond || new[axis] <= Int(Int16.max) else { return false }
      fields[.dim(axis + 1)] = Int64(new[axis])
    }
    for axis in old.indices.dropFirst(new.count) { fields[.dim(axis + 1)] = 1 }
    fields[.dim(0)] = Int64(new.count)
    return true
  }

  private mutating func setType() throws(NIfTIError) {
    let old = source.volume
    guard (volume.dtype, volume.channels) != (old.dtype, old.channels) else { return }
    fields[.datatype] = Int64(try VoxelLayout.code(of: volume))
    fields[.bitpix] = Int64(volume.voxelBytes * 8)
  }

  private mutating func setScaling() {
    // Of colours, scaling means nothing.
    let old = source.header.scaling(channels: volume.channels)
    guard volume.slope != old?.slope || volume.intercept != old?.intercept else { return }
    fields[.slope] = volume.slope ?? (volume.intercept == nil ? 0 : 1)
    fields[.intercept] = volume.intercept ?? 0
  }

  // MARK: Units and time

  private mutating func setUnitsAndTime() {
    let (new, old) = (volume.units, source.volume.units)
    var units = source.header.units
    if new?.space != old?.space {
      units &= ~VolumeHeader.spaceMask
      units |= VolumeHeader.bits(of: new?.space, in: VolumeHeader.spaceUnits)
    }
    if new?.time != old?.time {
      units &= ~VolumeHeader.timeMask
      units |= VolumeHeader.bits(of: new?.time, in: VolumeHeader.timeUnits)
    }
    let time = volume.repetitionTime
    let isSameTime = time == VolumeHeader.repetitionTime(source.header.pixdim[4], units: units)
    // Without an axis of time nothing need be said of its steps.
    if !isSameTime, time != nil || volume.shape.count > 3 {
      if time != nil, VolumeHeader.stepsPerSecond(units) == nil {
        units =
          units & ~VolumeHeader.timeMask | VolumeHeader.bits(of: "s", in: VolumeHeader.timeUnits)
      }
      fields[.pixdim(4)] = (time ?? 0) * (VolumeHeader.stepsPerSecond(units) ?? 1)
    }
    if units != source.header.units { fields[.units] = Int64(units) }
  }

  // MARK: Geometry

  private mutating func setGeometry() throws(NIfTIError) {
    let new = NewTransforms(volume)
    let old = source.volume
    // Where the forms were left out and the affine is that of the source, its forms still say it.
    if !(new.areOfAffine && volume.affine == old.affine) {
      let qform = new.qform
      try setQuaternion(qform)
      setCode(.qformCode, qform, volume.qformCode, of: old.qform, source.header.qformCode)
      setRows(new.sform)
      setCode(.sformCode, new.sform, volume.sformCode, of: old.sform, source.header.sformCode)
    }
    setSpacing(new)
  }

  private mutating func setCode(
    _ field: IntegerField, _ form: NewTransforms.Form?, _ code: Int?, of old: [[Double]]?,
    _ oldCode: Int
  ) {
    let wanted: Int
    if let form {
      wanted = code == nil && old != nil ? oldCode : form.code
    } else if old != nil {
      wanted = min(0, code ?? 0)
    } else if let code, code <= 0 || oldCode > 0 {
      wanted = code
    } else {
      wanted = oldCode
    }
    if wanted != oldCode { fields[field] = Int64(wanted) }
  }

  private mutating func setRows(_ form: NewTransforms.Form?) {
    guard let form else { return }
    let old = source.volume.sform
    for row in 0..<3 {
      for column in 0..<4 where form.matrix[row][column] != old?[row][column] {
        fields[.srow(row, column)] = form.matrix[row][column]
      }
    }
  }

  private mutating func setQuaternion(_ form: NewTransforms.Form?) throws(NIfTIError) {
    guard let form else { return }
    let old = source.volume.qform
    for row in 0..<3 where form.matrix[row][3] != old?[row][3] {
      fields[.qoffset(row)] = form.matrix[row][3]
    }
    if let old, isTurnedAlike(form.matrix, old) { return }
    let quaternion = try Quaternion(ofQform: form.matrix, volume)
    for (index, value) in quaternion.imaginary.enumerated() { fields[.quaternion(index)] = value }
    let isLeftHanded = source.header.pixdim[0] < 0
    if quaternion.isLeftHanded != isLeftHanded {
      fields[.pixdim(0)] = quaternion.isLeftHanded ? -1 : 1
    }
  }

  /// Whether the axes of two transforms point the same way, as far as numbers of the header tell.
  private func isTurnedAlike(_ new: [[Double]], _ old: [[Double]]) -> Bool {
    let (steps, oldSteps) = (Affine.lengths(new), Affine.lengths(old))
    let tolerance = fields.isSecond ? 1e-12 : 1e-6
    for row in 0..<3 {
      for column in 0..<3 where new[row][column] != old[row][column] {
        let turned = new[row][column] / steps[column] - old[row][column] / oldSteps[column]
        guard abs(turned) < tolerance else { return false }
      }
    }
    return true
  }

  private mutating func setSpacing(_ new: NewTransforms) {
    let old = source.volume
    let unit = volume.millimetresPerUnit
    let spacing: [Double]? =
      volume.voxelSpacing ?? new.qform.map { Affine.lengths($0.matrix).map { $0 * unit } }
      ?? volume.affine.flatMap { affine in
        old.affine.map(Affine.lengths) == Affine.lengths(affine) ? nil : Affine.lengths(affine)
      }
    guard let spacing else { return }
    for axis in 0..<3 where spacing[axis] > 0 {
      // What the field means once the volume has this axis.
      let isThere = axis < max(volume.shape.count, old.shape.count)
      let step = isThere ? Geometry.step(source.header.pixdim[axis + 1]) ?? 1 : 1
      if spacing[axis] != step * unit { fields[.pixdim(axis + 1)] = spacing[axis] / unit }
    }
  }

  // MARK: The rest

  private mutating func setTexts() {
    let (new, old) = (volume.intent, source.volume.intent)
    let isSameIntent =
      if let new, let old { new.isSame(as: old) } else { new == nil && old == nil }
    if !isSameIntent {
      fields[.intentCode] = Int64(new?.code ?? 0)
      for index in 0..<3 {
        let parameter = new?.parameters.dropFirst(index).first ?? 0
        let old = source.header.intentParameters[index]
        if parameter != old, !(parameter.isNaN && old.isNaN) {
          fields[.intentParameter(index)] = parameter
        }
      }
      let name = new?.name ?? ""
      if name != ExactString(source.header.intentName) { fields[.intentName] = name.string }
    }
    let description = volume.sourceDescription ?? ""
    if description != ExactString(source.header.descrip) {
      fields[.description] = description.string
    }
  }
}

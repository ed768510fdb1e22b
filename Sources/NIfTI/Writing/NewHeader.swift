internal import Frames

/// A NIfTI header for a volume that does not come with its own.
enum NewHeader {
  /// Makes header and extension flag, which voxels in the header's byte order follow directly.
  ///
  /// It is the volume's template, made to fit, or one from nothing. What was made is read back.
  ///
  /// - Throws: `NIfTIError` if NIfTI cannot hold what the volume's open header says.
  static func make(_ volume: VolumeHeader) throws(NIfTIError) -> HeaderFields {
    let made =
      if let made = try TemplateHeader.make(volume) { made } else { try fromNothing(volume) }
    try check(made, volume)
    return made
  }

  // MARK: From nothing

  /// Makes a little-endian header of NIfTI-1, or of NIfTI-2 where a dimension is over 32,767.
  static func fromNothing(_ volume: VolumeHeader) throws(NIfTIError) -> HeaderFields {
    var volume = volume
    if [volume.qform, volume.sform].allSatisfy({ $0 == nil }), !volume.hasCodes {
      // What has an affine alone has it in millimetres, and is written so.
      volume.units = .init(space: "mm", time: volume.units?.time, code: nil)
    }
    let isSecond = volume.shape.contains { $0 > Int(Int16.max) }
    var f = HeaderFields(
      bytes: [UInt8](
        repeating: 0, count: isSecond ? HeaderFields.secondSize : HeaderFields.firstSize),
      isSecond: isSecond, isBigEndian: false)
    f[.headerSize] = Int64(f.size)
    f.setMagic()
    // What some Analyze readers ask for.
    if !isSecond { f[.regular] = [UInt8(ascii: "r")] }
    f[.dim(0)] = Int64(volume.shape.count)
    for axis in 0..<7 {
      f[.dim(axis + 1)] = Int64(axis < volume.shape.count ? volume.shape[axis] : 1)
    }
    f[.datatype] = Int64(try VoxelLayout.code(of: volume))
    f[.bitpix] = Int64(volume.voxelBytes * 8)
    // A slope of 0 says that there is no scaling.
    f[.slope] = volume.slope ?? (volume.intercept == nil ? 0 : 1)
    f[.intercept] = volume.intercept ?? 0
    try setGeometry(&f, volume)
    setUnitsAndTime(&f, volume)
    f[.description] = volume.sourceDescription?.string ?? ""
    if let intent = volume.intent {
      f[.intentCode] = Int64(intent.code)
      for (index, value) in intent.parameters.prefix(3).enumerated() {
        f[.intentParameter(index)] = value
      }
      f[.intentName] = intent.name.string
    }
    f.beSingleFile()
    return f
  }

  private static func setGeometry(
    _ f: inout HeaderFields, _ volume: VolumeHeader
  ) throws(NIfTIError) {
    let forms = NewTransforms(volume)
    var steps = volume.voxelSpacing ?? volume.affine.map(Affine.lengths) ?? []
    steps = steps.map { $0 / volume.millimetresPerUnit }
    f[.pixdim(0)] = 1
    if let qform = forms.qform {
      let quaternion = try Quaternion(ofQform: qform.matrix, volume)
      for (index, value) in quaternion.imaginary.enumerated() {
        f[.quaternion(index)] = value
        f[.qoffset(index)] = qform.matrix[index][3]
      }
      if quaternion.isLeftHanded { f[.pixdim(0)] = -1 }
      steps = Affine.lengths(qform.matrix)
      f[.qformCode] = Int64(qform.code)
    }
    if let sform = forms.sform {
      for row in 0..<3 {
        for column in 0..<4 { f[.srow(row, column)] = sform.matrix[row][column] }
      }
      f[.sformCode] = Int64(sform.code)
    }
    for axis in 0..<3 {
      f[.pixdim(axis + 1)] = axis < steps.count && steps[axis] > 0 ? steps[axis] : 1
    }
    // What a template that cannot be used says of further axes still holds.
    let template = volume.source?.template?.bytes
    let further =
      if let template { try ParsedHeader(template).header.pixdim[4...] } else {
        ArraySlice(repeating: 1.0, count: 4)
      }
    for (axis, step) in zip(4..., further) { f[.pixdim(axis)] = step }
  }

  private static func setUnitsAndTime(_ f: inout HeaderFields, _ volume: VolumeHeader) {
    // NIfTI files give codes, and may have no unit.
    let space = volume.units?.space ?? (volume.hasCodes ? nil : "mm")
    var time = VolumeHeader.bits(of: volume.units?.time, in: VolumeHeader.timeUnits)
    if volume.repetitionTime != nil, VolumeHeader.stepsPerSecond(time) == nil {
      time = VolumeHeader.bits(of: "s", in: VolumeHeader.timeUnits)
    }
    // A step of 0 is one that is not known, where its unit is.
    if let steps = VolumeHeader.stepsPerSecond(time) {
      f[.pixdim(4)] = (volume.repetitionTime ?? 0) * steps
    }
    f[.units] = Int64(VolumeHeader.bits(of: space, in: VolumeHeader.spaceUnits) | time)
  }

  // MARK: Reading back

  /// Compares what was made with what was wanted: a number may be beyond what 32 bits hold, and two
  /// things said may be one in NIfTI.
  private static func check(_ made: HeaderFields, _ volume: VolumeHeader) throws(NIfTIError) {
    let name = made.isSecond ? "NIfTI-2" : "NIfTI-1"
    func refusal(_ key: String) -> NIfTIError {
      NIfTIError(volume.label, "\(name) cannot hold its '\(key)'", kind: .unwritable)
    }
    let read: VolumeHeader
    do { read = try ParsedHeader(Array(made.bytes.prefix(made.size))).volume } catch {
      throw refusal("shape")
    }
    let forms = NewTransforms(volume)
    let hasOrientation = forms.qform != nil || forms.sform != nil
    let hasTime = volume.shape.count > 3
    let checks: [(String, Bool)] = [
      ("shape", read.shape == volume.shape),
      ("dtype", read.dtype == volume.dtype && read.channels == volume.channels),
      ("slope", isNear(read.slope, volume.slope ?? volume.intercept.map { _ in 1 })),
      ("intercept", isNear(read.intercept, volume.intercept ?? volume.slope.map { _ in 0 })),
      (
        "affine",
        hasOrientation
          ? isNear(read.affine, volume.affine, in: volume) : read.qform == nil && read.sform == nil
      ),
      ("qform", forms.areOfAffine || isNear(read.qform, volume.qform, in: volume)),
      ("sform", forms.areOfAffine || isNear(read.sform, volume.sform, in: volume)),
      ("qform_code", volume.qform == nil || read.qformCode == volume.qformCode ?? read.qformCode),
      ("sform_code", volume.sform == nil || read.sformCode == volume.sformCode ?? read.sformCode),
      ("voxel_spacing", isNear(read.voxelSpacing, volume.voxelSpacing, in: volume)),
      ("repetition_time", !hasTime || isNear(read.repetitionTime, volume.repetitionTime)),
      ("intent", read.intent?.code ?? 0 == volume.intent?.code ?? 0),
    ]
    if let key = checks.first(where: { !$0.1 })?.0 { throw refusal(key) }
  }

  /// Whether two numbers are the same but for rounding to 32 bits.
  private static func isNear(_ read: Double?, _ wanted: Double?) -> Bool {
    guard let read, let wanted else { return read == nil && wanted == nil }
    return abs(read - wanted) <= 1e-6 * abs(wanted)
  }

  /// Whether two transforms are the same within the tolerance, and as far as a volume has axes:
  /// of others NIfTI knows no spacing.
  private static func isNear(
    _ read: [[Double]]?, _ wanted: [[Double]]?, in volume: VolumeHeader
  ) -> Bool {
    guard let read, let wanted else { return wanted == nil }
    let comparable = zip(read, wanted).map { its, row in
      row.enumerated().map { $0 < 3 && $0 >= volume.shape.count ? its[$0] : $1 }
    }
    return VolumeHeader.difference(read, comparable) == nil
  }

  private static func isNear(
    _ read: [Double]?, _ wanted: [Double]?, in volume: VolumeHeader
  ) -> Bool {
    guard let read, let wanted else { return wanted == nil }
    // A length of 0 is one that NIfTI does not have.
    return zip(read, wanted).prefix(volume.shape.count)
      .allSatisfy { $1 == 0 || abs($0 - $1) <= $1 / 1000 }
  }
}

extension VolumeHeader {
  /// Whether it tells the codes of both transforms, as it does if it came from a NIfTI file.
  fileprivate var hasCodes: Bool { qformCode != nil && sformCode != nil }
}

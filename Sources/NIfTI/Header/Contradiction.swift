internal import ByteIO
public import Frames

extension VolumeHeader {
  /// Which keys of this header cannot both be true, and how so; nil if none contradicts another.
  ///
  /// The rules are those of vol-frames(5), "What must agree". What a NIfTI file itself says is let
  /// be, however its transforms disagree.
  public func contradiction() -> String? {
    let transforms = [("affine", affine), ("qform", qform), ("sform", sform)]
    for case (let key, let matrix?) in transforms where !Self.isTransform(matrix) {
      return "'\(key)' is not 4x4 of finite numbers with a last row of 0 0 0 1"
    }
    if let spacing = voxelSpacing,
      spacing.count != 3 || !spacing.allSatisfy({ $0.isFinite && $0 >= 0 })
    {
      return "'voxel_spacing' is not three lengths"
    }
    if let bytes = source?.header?.bytes { return contradiction(toSource: bytes) }
    if let bytes = source?.template?.bytes { return contradiction(toTemplate: bytes) }
    return contradictionInItself()
  }

  private static func isTransform(_ matrix: [[Double]]) -> Bool {
    matrix.count == 4 && matrix.allSatisfy { $0.count == 4 && $0.allSatisfy(\.isFinite) }
      && matrix[3] == [0, 0, 0, 1]
  }

  // MARK: The three cases

  /// With the header of the very file, everything that the header says must be said as well.
  private func contradiction(toSource bytes: [UInt8]) -> String? {
    let other: VolumeHeader
    do { other = try ParsedHeader(bytes).volume } catch {
      return "'source.header' cannot be used: \(error.reason)"
    }
    let hasSameIntent =
      if let intent, let its = other.intent { intent.isSame(as: its) } else {
        intent == nil && other.intent == nil
      }
    let isSame: [(String, Bool)] = [
      ("shape", shape == other.shape), ("dtype", dtype == other.dtype),
      ("channels", channels == other.channels), ("slope", slope == other.slope),
      ("intercept", intercept == other.intercept), ("affine", affine == other.affine),
      ("affine_source", affineSource == other.affineSource), ("qform", qform == other.qform),
      ("qform_code", qformCode == other.qformCode), ("sform", sform == other.sform),
      ("sform_code", sformCode == other.sformCode),
      ("voxel_spacing", voxelSpacing == other.voxelSpacing),
      ("repetition_time", repetitionTime == other.repetitionTime),
      ("units", units == other.units), ("intent", hasSameIntent),
      ("description", sourceDescription == other.sourceDescription),
      ("source.byte_order", source?.byteOrder == other.source?.byteOrder),
      ("source.layout", source?.layout == other.source?.layout),
    ]
    guard let key = isSame.first(where: { !$0.1 })?.0 else { return nil }
    return "'\(key)' is not what 'source.header' says; to have a new header made, move "
      + "'source.header' to 'source.template', or leave out 'source'"
  }

  /// With the header of a file that the volume was derived from, all transforms must have moved
  /// alike.
  private func contradiction(toTemplate bytes: [UInt8]) -> String? {
    let other: VolumeHeader
    do { other = try ParsedHeader(bytes).volume } catch {
      return "'source.template' cannot be used: \(error.reason)"
    }
    guard millimetresPerUnit == other.millimetresPerUnit else {
      return "'units' has another unit of space than 'source.template'"
    }
    if let reason = contradictionOfAffineSource() { return reason }
    guard let affine, let start = other.affine, let inverse = Affine.inverse(start) else {
      return nil
    }
    let step = Affine.product(inverse, affine)
    let doubt = Self.rounding(of: step, inverse, from: start, to: affine)
    for (key, matrix, theirs) in [("qform", qform, other.qform), ("sform", sform, other.sform)] {
      guard let matrix, let theirs else { continue }
      if let place = Self.difference(
        matrix, Affine.product(theirs, step), besides: Affine.product(Self.sizes(theirs), doubt))
      {
        return "'\(key)' did not move from that of 'source.template' as 'affine' did: \(place)"
      }
    }
    guard let spacing = other.voxelSpacing else { return nil }
    let diagonal = (0..<4).map { row in
      (0..<4).map { row != $0 ? 0 : row == 3 ? 1 : spacing[row] }
    }
    return contradiction(
      ofSpacing: Affine.lengths(Affine.product(diagonal, step)),
      besides: Affine.lengths(Affine.product(diagonal, doubt)),
      "'voxel_spacing' did not change from that of 'source.template' as 'affine' did")
  }

  /// Without any header, the keys must agree with each other.
  private func contradictionInItself() -> String? {
    if let reason = contradictionOfAffineSource() { return reason }
    if let qform {
      let lengths = Affine.lengths(Affine.scaled(qform, by: millimetresPerUnit))
      if let reason = contradiction(
        ofSpacing: lengths, "'voxel_spacing' is not that of 'qform'")
      {
        return reason
      }
    }
    guard let affine else { return nil }
    return contradiction(
      ofSpacing: Affine.lengths(affine), "'voxel_spacing' is not that of 'affine'")
  }

  // MARK: Rules of more than one case

  /// Whether the affine is the transform that it was taken from: without `affine_source` the sform,
  /// or else the qform.
  private func contradictionOfAffineSource() -> String? {
    let key: ExactString =
      affineSource == "qform" || (affineSource != "sform" && sform == nil) ? "qform" : "sform"
    guard let matrix = key == "qform" ? qform : sform else {
      return affineSource == key ? "'affine_source' is '\(key)', and there is no '\(key)'" : nil
    }
    guard let affine else { return nil }
    let wanted = Affine.scaled(matrix, by: millimetresPerUnit)
    return Self.difference(affine, wanted).map { "'affine' is not that of '\(key)': \($0)" }
  }

  private func contradiction(
    ofSpacing lengths: [Double], besides doubt: [Double] = [0, 0, 0], _ reason: String
  ) -> String? {
    guard let spacing = voxelSpacing else { return nil }
    for axis in 0..<min(3, shape.count)
    where abs(spacing[axis] - lengths[axis]) > lengths[axis] / 1000 + doubt[axis] {
      return "\(reason): \(spacing[axis]) along \(["X", "Y", "Z"][axis]), not \(lengths[axis])"
    }
    return nil
  }

  // MARK: Tolerance

  /// Where two transforms differ by more than the tolerance and `doubt`; nil if nowhere.
  static func difference(
    _ found: [[Double]], _ wanted: [[Double]], besides doubt: [[Double]]? = nil
  ) -> String? {
    let least = (Affine.lengths(wanted).max() ?? 0) / 1000
    for row in 0..<3 {
      for column in 0..<4 {
        let tolerance = max(least, abs(wanted[row][column]) / 100_000)
        let distance = abs(found[row][column] - wanted[row][column])
        if distance > tolerance + (doubt?[row][column] ?? 0) {
          return "\(found[row][column]) in row \(row), column \(column), not \(wanted[row][column])"
        }
      }
    }
    return nil
  }

  /// How far off a quotient of two transforms may be because numbers of 64 bits are rounded.
  ///
  /// It is the inverse times what may have been rounded away before it, all sizes taken as
  /// positive: so offsets of 1e20 leave open where a region began, and are not held against it.
  private static func rounding(
    of step: [[Double]], _ inverse: [[Double]], from start: [[Double]], to end: [[Double]]
  ) -> [[Double]] {
    let reached = Affine.product(sizes(start), sizes(step))
    let lost = zip(sizes(end), reached).map { zip($0, $1).map { ($0 + $1) * 0x1p-48 } }
    return Affine.product(sizes(inverse), lost)
  }

  private static func sizes(_ matrix: [[Double]]) -> [[Double]] {
    matrix.map { $0.map { abs($0) } }
  }
}

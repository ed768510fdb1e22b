internal import Frames

/// The transforms that a new header is to hold, in the unit of space of its volume.
struct NewTransforms {
  /// A transform and its code, which is above 0.
  struct Form {
    var matrix: [[Double]]
    var code: Int
  }

  var qform: Form?
  var sform: Form?
  /// Whether the volume has an affine and neither form, so that these are made of the affine.
  var areOfAffine = false

  /// NIfTI's codes: coordinates of the scanner, and those of another image.
  private static let (scanner, aligned) = (1, 2)

  /// Takes the forms of `header`, or makes them of its affine where it has none.
  ///
  /// An affine alone becomes the sform, and the qform too where that can hold it. An affine made
  /// from voxel spacing alone becomes neither: it says nothing of where the volume lies.
  init(_ header: VolumeHeader) {
    func form(_ matrix: [[Double]]?, _ code: Int?) -> Form? {
      matrix.map { Form(matrix: $0, code: max(Self.scanner, code ?? 0)) }
    }
    qform = form(header.qform, header.qformCode)
    sform = form(header.sform, header.sformCode)
    guard qform == nil, sform == nil, let affine = header.affine else { return }
    areOfAffine = true
    let isOfSpacing = header.affineSource == "pixdim"
    if isOfSpacing, Self.isStraight(affine) { return }
    let matrix = Affine.scaled(affine, by: 1 / header.millimetresPerUnit)
    // What was turned since is known in relation to its source only.
    sform =
      isOfSpacing
      ? Form(matrix: matrix, code: Self.aligned) : form(matrix, header.sformCode)
    if Quaternion(matrix) != nil, Self.hasSpacing(header, of: affine) { qform = sform }
  }

  /// Whether the axes are those that `Geometry` takes for granted.
  private static func isStraight(_ affine: [[Double]]) -> Bool {
    let steps = Affine.lengths(affine)
    let straight = (0..<3).map { row in
      (0..<3).map { row != $0 ? 0 : row == 0 ? -steps[row] : steps[row] } + [affine[row][3]]
    }
    return VolumeHeader.difference(affine, straight + [[0, 0, 0, 1]]) == nil
  }

  /// Whether a qform of `affine` would have the volume's voxel spacing, which it shares with pixdim.
  private static func hasSpacing(_ header: VolumeHeader, of affine: [[Double]]) -> Bool {
    guard let spacing = header.voxelSpacing else { return true }
    return zip(spacing, Affine.lengths(affine)).prefix(header.shape.count)
      .allSatisfy { abs($0 - $1) <= $1 / 1000 }
  }
}

internal import Frames

/// The rotation of an affine as a unit quaternion, the way a qform keeps it.
///
/// Source: `nifti_mat44_to_quatern` as nifti1.h describes its result: the columns are the axes
/// times their spacing, the third turned round in a left-handed system (qfac -1).
struct Quaternion {
  /// b, c and d; a is not negative and follows from them.
  var imaginary: [Double]
  /// Whether qfac is -1.
  var isLeftHanded: Bool

  /// Takes the rotation out of a 4x4 matrix, rows first; nil if there is more in it than a rotation
  /// and spacings.
  init?(_ affine: [[Double]]) {
    var columns: [[Double]] = []
    for axis in 0..<3 {
      let column = (0..<3).map { affine[$0][axis] }
      let length = Self.dot(column, column).squareRoot()
      guard length.isFinite, length > 0, affine[axis][3].isFinite else { return nil }
      columns.append(column.map { $0 / length })
    }
    // What the rounding of an affine to single precision explains.
    let tolerance = 1e-5
    guard abs(Self.dot(columns[0], columns[1])) < tolerance,
      abs(Self.dot(columns[0], columns[2])) < tolerance,
      abs(Self.dot(columns[1], columns[2])) < tolerance
    else { return nil }
    let (x, y) = (columns[0], columns[1])
    let cross = [
      x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0],
    ]
    isLeftHanded = Self.dot(cross, columns[2]) < 0
    if isLeftHanded { columns[2] = columns[2].map { -$0 } }
    imaginary = Self.imaginary { columns[$1][$0] }
  }

  /// Takes the rotation out of the qform of `volume`.
  ///
  /// - Throws: `NIfTIError` if there is more in it than a rotation and spacings.
  init(ofQform matrix: [[Double]], _ volume: VolumeHeader) throws(NIfTIError) {
    guard let quaternion = Quaternion(matrix) else {
      throw NIfTIError(
        volume.label, "its 'qform' is more than a rotation and voxel spacings; leave it out",
        kind: .unwritable)
    }
    self = quaternion
  }

  /// b, c and d of the rotation whose element (row, column) is `r`.
  ///
  /// Of four ways to get at the same numbers the one is taken that divides by the largest; after
  /// S. W. Shepperd, Quaternion from Rotation Matrix, 1978.
  private static func imaginary(_ r: (Int, Int) -> Double) -> [Double] {
    let diagonal = [r(0, 0), r(1, 1), r(2, 2)]
    let trace = diagonal[0] + diagonal[1] + diagonal[2]
    var a: Double
    var v = [0.0, 0.0, 0.0]
    if trace >= diagonal.reduce(-2, max) {
      a = (1 + trace).squareRoot() / 2
      v = [
        (r(2, 1) - r(1, 2)) / (4 * a), (r(0, 2) - r(2, 0)) / (4 * a),
        (r(1, 0) - r(0, 1)) / (4 * a),
      ]
    } else {
      let i =
        diagonal[0] >= diagonal[1] && diagonal[0] >= diagonal[2]
        ? 0 : diagonal[1] >= diagonal[2] ? 1 : 2
      let (j, k) = ((i + 1) % 3, (i + 2) % 3)
      v[i] = (1 + 2 * diagonal[i] - trace).squareRoot() / 2
      v[j] = (r(i, j) + r(j, i)) / (4 * v[i])
      v[k] = (r(i, k) + r(k, i)) / (4 * v[i])
      a = (r(k, j) - r(j, k)) / (4 * v[i])
    }
    return a < 0 ? v.map { -$0 } : v
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
  }
}

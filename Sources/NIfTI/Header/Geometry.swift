internal import ByteIO

/// Where the voxels of a header lie: its transforms, and the one of them that counts.
struct Geometry {
  /// Voxel index to RAS+ millimetres (file units where the unit is not known), 4x4.
  var affine: [[Double]]
  /// `sform`, `qform` or `pixdim`.
  var source: ExactString
  /// The two transforms in the file's own units, nil where their code is not above 0.
  var qform: [[Double]]?
  var sform: [[Double]]?
  /// Along X, Y and Z, in millimetres where the unit is known.
  var spacing: [Double]
  var quirks: [String] = []

  /// Units per millimetre are known for metres, millimetres and micrometres.
  static func millimetres(_ units: Int) -> Double {
    switch units & 7 {
    case 1: 1000
    case 3: 0.001
    default: 1
    }
  }

  /// Works out the geometry of `header`, whose voxels have `shape`.
  init(_ header: NIfTIHeader, shape: [Int]) {
    var quirks: [String] = []
    var pixdim = [1.0, 1.0, 1.0]
    for axis in 0..<3 where axis < shape.count {
      let value = header.pixdim[axis + 1]
      if let step = Self.step(value) {
        if value < 0 { quirks.append("pixdim[\(axis + 1)] is \(value), taken as \(step)") }
        pixdim[axis] = step
      } else {
        quirks.append("pixdim[\(axis + 1)] is \(value), taken as 1")
      }
    }
    if header.qformCode > 0 { qform = Self.qform(header, pixdim, &quirks) }
    if header.sformCode > 0 {
      if header.srow.joined().allSatisfy(Self.isUsable),
        header.srow.contains(where: { $0.prefix(3).contains { $0 != 0 } })
      {
        sform = header.srow + [[0, 0, 0, 1]]
      } else {
        quirks.append("the sform is zero, not a number or beyond 1e100, ignored")
      }
    }
    let scale = Self.millimetres(header.units)
    var matrix: [[Double]]
    if let sform {
      matrix = sform
      source = "sform"
    } else if let qform {
      matrix = qform
      source = "qform"
    } else {
      matrix = Self.centred(pixdim, shape)
      source = "pixdim"
    }
    if scale != 1 {
      for row in 0..<3 { matrix[row] = matrix[row].map { $0 * scale } }
    }
    affine = matrix
    spacing = pixdim.map { $0 * scale }
    self.quirks = quirks
  }

  /// The length that an element of pixdim stands for, nil if it is none.
  static func step(_ value: Double) -> Double? {
    isUsable(value) && value != 0 ? abs(value) : nil
  }

  /// Whether a length is one with which can be calculated: the numbers of a NIfTI-2 header reach
  /// 1e308, and a thousand times that is infinite.
  private static func isUsable(_ length: Double) -> Bool { abs(length) <= 1e100 }

  /// Without a transform: X runs from right to left, the centre is the origin, as in Analyze.
  private static func centred(_ spacing: [Double], _ shape: [Int]) -> [[Double]] {
    var matrix = [[Double]](repeating: [0, 0, 0, 0], count: 4)
    matrix[3][3] = 1
    for axis in 0..<3 {
      let step = axis == 0 ? -spacing[axis] : spacing[axis]
      let extent = axis < shape.count ? shape[axis] : 1
      matrix[axis][axis] = step
      matrix[axis][3] = -step * Double(extent - 1) / 2
    }
    return matrix
  }

  /// Method 2 of nifti1.h: a rotation by a unit quaternion, spacing, and an offset.
  private static func qform(
    _ header: NIfTIHeader, _ spacing: [Double], _ quirks: inout [String]
  ) -> [[Double]]? {
    guard header.quaternion.allSatisfy(\.isFinite), header.qoffset.allSatisfy(isUsable) else {
      quirks.append("the qform is not a number or beyond 1e100, ignored")
      return nil
    }
    var (b, c, d) = (header.quaternion[0], header.quaternion[1], header.quaternion[2])
    let rest = 1 - (b * b + c * c + d * d)
    guard rest.isFinite else {
      quirks.append("the quaternion is too long to shorten, the qform is ignored")
      return nil
    }
    var a = 0.0
    if rest > 0 {
      a = rest.squareRoot()
    } else if rest < -3 * 0x1p-23 {  // more than rounding of 32-bit numbers explains
      let length = (b * b + c * c + d * d).squareRoot()
      (b, c, d) = (b / length, c / length, d / length)
      quirks.append("the quaternion is longer than 1, shortened")
    }
    let square = a * a + b * b + c * c + d * d
    let s = 2 / square
    let rotation = [
      [1 - (c * c + d * d) * s, (b * c - a * d) * s, (b * d + a * c) * s],
      [(b * c + a * d) * s, 1 - (b * b + d * d) * s, (c * d - a * b) * s],
      [(b * d - a * c) * s, (c * d + a * b) * s, 1 - (b * b + c * c) * s],
    ]
    let qfac = header.pixdim[0] < 0 ? -1.0 : 1.0
    let steps = [spacing[0], spacing[1], spacing[2] * qfac]
    return (0..<3).map { row in
      (0..<3).map { rotation[row][$0] * steps[$0] } + [header.qoffset[row]]
    } + [[0, 0, 0, 1]]
  }
}

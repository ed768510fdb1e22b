/// Arithmetic with transforms of voxel indices: 4x4, rows first, the last row 0 0 0 1.
enum Affine {
  /// How long the steps along X, Y and Z are.
  static func lengths(_ matrix: [[Double]]) -> [Double] {
    (0..<3).map { column in
      (0..<3).reduce(0) { $0 + matrix[$1][column] * matrix[$1][column] }.squareRoot()
    }
  }

  /// The transform into a unit of which one of its own holds `factor`.
  static func scaled(_ matrix: [[Double]], by factor: Double) -> [[Double]] {
    factor == 1 ? matrix : matrix.prefix(3).map { $0.map { $0 * factor } } + [[0, 0, 0, 1]]
  }

  /// The transform that does `b`, then `a`.
  static func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
    a.map { row in
      (0..<4).map { column in (0..<4).reduce(0) { $0 + row[$1] * b[$1][column] } }
    }
  }

  /// What undoes `matrix`; nil if nothing does, or not in numbers that are finite.
  static func inverse(_ m: [[Double]]) -> [[Double]]? {
    func cofactor(_ row: Int, _ column: Int) -> Double {
      let (r, s) = ((row + 1) % 3, (row + 2) % 3)
      let (c, d) = ((column + 1) % 3, (column + 2) % 3)
      return m[r][c] * m[s][d] - m[r][d] * m[s][c]
    }
    let determinant = (0..<3).reduce(0) { $0 + m[0][$1] * cofactor(0, $1) }
    guard determinant != 0, determinant.isFinite else { return nil }
    var result = (0..<3).map { row in
      (0..<3).map { cofactor($0, row) / determinant } + [0]
    }
    for row in 0..<3 { result[row][3] = -(0..<3).reduce(0) { $0 + result[row][$1] * m[$1][3] } }
    guard result.joined().allSatisfy(\.isFinite) else { return nil }
    return result + [[0, 0, 0, 1]]
  }
}

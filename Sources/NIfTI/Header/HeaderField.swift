// The table of the fields of headers: where each stands in NIfTI-1 and Analyze 7.5, and where in
// NIfTI-2, in bytes from the beginning of the header, and what it is there.
//
// Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.

/// An integer of a header.
struct IntegerField {
  let first: NumberPlace
  /// Nil for what NIfTI-2 does not have.
  let second: NumberPlace?

  private init(_ first: (Int, NumberType), _ second: (Int, NumberType)?, at index: Int = 0) {
    self.first = NumberPlace(first, at: index)
    self.second = second.map { NumberPlace($0, at: index) }
  }

  static let headerSize = Self((0, .int32), (0, .int32))
  static let intentCode = Self((68, .int16), (504, .int32))
  static let datatype = Self((70, .int16), (12, .int16))
  static let bitpix = Self((72, .int16), (14, .int16))
  /// `xyzt_units`.
  static let units = Self((123, .uint8), (500, .int32))
  static let glmin = Self((144, .int32), nil)
  static let qformCode = Self((252, .int16), (344, .int32))
  static let sformCode = Self((254, .int16), (348, .int32))

  /// dim[0] to dim[7].
  static func dim(_ index: Int) -> Self { Self((40, .int16), (16, .int64), at: index) }
}

/// A real number of a header.
struct RealField {
  let first: NumberPlace
  let second: NumberPlace

  private init(_ first: (Int, NumberType), _ second: (Int, NumberType), at index: Int = 0) {
    self.first = NumberPlace(first, at: index)
    self.second = NumberPlace(second, at: index)
  }

  /// A whole number in NIfTI-2.
  static let voxOffset = Self((108, .float32), (168, .int64))
  static let slope = Self((112, .float32), (176, .float64))
  static let intercept = Self((116, .float32), (184, .float64))

  /// intent_p1, p2 and p3, from 0.
  static func intentParameter(_ index: Int) -> Self {
    Self((56, .float32), (80, .float64), at: index)
  }
  /// pixdim[0] to pixdim[7].
  static func pixdim(_ index: Int) -> Self { Self((76, .float32), (104, .float64), at: index) }
  /// quatern_b, c and d, from 0.
  static func quaternion(_ index: Int) -> Self {
    Self((256, .float32), (352, .float64), at: index)
  }
  /// qoffset_x, y and z, from 0.
  static func qoffset(_ index: Int) -> Self { Self((268, .float32), (376, .float64), at: index) }
  /// srow_x, y and z, from 0, of four numbers each.
  static func srow(_ row: Int, _ column: Int) -> Self {
    Self((280, .float32), (400, .float64), at: 4 * row + column)
  }
}

/// A text of a header, ended by a zero byte where it is shorter than its room.
struct TextField {
  let first: Range<Int>
  let second: Range<Int>

  static let description = Self(first: 148..<228, second: 240..<320)
  static let intentName = Self(first: 328..<344, second: 508..<524)
}

/// Other bytes of a header.
struct BytesField {
  let first: Range<Int>
  /// Nil for what NIfTI-2 does not have.
  let second: Range<Int>?

  /// `n+1` for one file or `ni1` for a pair, and a zero byte; or `n+2` or `ni2`, and what a transfer
  /// in text mode would change.
  static let magic = Self(first: 344..<348, second: 4..<12)
  /// Of Analyze 7.5, and not used by NIfTI-1.
  static let regular = Self(first: 38..<39, second: nil)
}

/// How a number stands in a header.
enum NumberType {
  case uint8, int16, int32, int64, float32, float64

  fileprivate var size: Int {
    switch self {
    case .uint8: 1
    case .int16: 2
    case .int32, .float32: 4
    case .int64, .float64: 8
    }
  }
}

/// Where a number stands in a header, and how.
struct NumberPlace {
  let offset: Int
  let type: NumberType

  /// The place of the number `index` of an array, from 0.
  fileprivate init(_ first: (offset: Int, type: NumberType), at index: Int) {
    offset = first.offset + index * first.type.size
    type = first.type
  }
}

internal import ByteIO

/// An integer of a header: its place and size in NIfTI-1 or Analyze, and in NIfTI-2.
struct IntegerField {
  let first: Int
  let firstSize: Int
  let second: Int
  let secondSize: Int

  init(first: Int, _ firstSize: Int, second: Int, _ secondSize: Int) {
    (self.first, self.firstSize) = (first, firstSize)
    (self.second, self.secondSize) = (second, secondSize)
  }

  static let headerSize = Self(first: 0, 4, second: 0, 4)
  static func dim(_ index: Int) -> Self {
    .init(first: 40 + 2 * index, 2, second: 16 + 8 * index, 8)
  }
  static let datatype = Self(first: 70, 2, second: 12, 2)
  static let bitpix = Self(first: 72, 2, second: 14, 2)
  static let units = Self(first: 123, 1, second: 500, 4)
  static let qformCode = Self(first: 252, 2, second: 344, 4)
  static let sformCode = Self(first: 254, 2, second: 348, 4)
  static let intentCode = Self(first: 68, 2, second: 504, 4)
  /// Only in NIfTI-2; in NIfTI-1 it is a real number.
  static let secondVoxOffset = Self(first: 0, 4, second: 168, 8)
  /// Only in NIfTI-1 and Analyze.
  static let firstGlmin = Self(first: 144, 4, second: 0, 4)
}

/// A real number of a header: 4 bytes in NIfTI-1 or Analyze, 8 in NIfTI-2.
struct RealField {
  let first: Int
  let second: Int

  static func pixdim(_ index: Int) -> Self { .init(first: 76 + 4 * index, second: 104 + 8 * index) }
  static let slope = Self(first: 112, second: 176)
  static let intercept = Self(first: 116, second: 184)
  /// Only in NIfTI-1 and Analyze; in NIfTI-2 it is an integer.
  static let firstVoxOffset = Self(first: 108, second: 0)
  /// quatern_b, c and d.
  static func quaternion(_ index: Int) -> Self {
    .init(first: 256 + 4 * index, second: 352 + 8 * index)
  }
  static func qoffset(_ index: Int) -> Self {
    .init(first: 268 + 4 * index, second: 376 + 8 * index)
  }
  static func srow(_ row: Int, _ column: Int) -> Self {
    .init(first: 280 + 16 * row + 4 * column, second: 400 + 32 * row + 8 * column)
  }
  static func intentParameter(_ index: Int) -> Self {
    .init(first: 56 + 4 * index, second: 80 + 8 * index)
  }
}

/// A text of a header, ended by a zero byte where it is shorter than its room.
struct TextField {
  let first: Int
  let second: Int
  let room: Int

  static let description = Self(first: 148, second: 240, room: 80)
  static let intentName = Self(first: 328, second: 508, room: 16)
}

/// The bytes of a header, and its fields in either byte order and format.
///
/// Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.
struct HeaderFields {
  /// At least 348 bytes of NIfTI-1 or Analyze, or 540 of NIfTI-2.
  var bytes: [UInt8]
  let isSecond: Bool
  let isBigEndian: Bool

  subscript(_ field: IntegerField) -> Int64 {
    get {
      let offset = isSecond ? field.second : field.first
      switch isSecond ? field.secondSize : field.firstSize {
      case 1: return Int64(bytes[offset])
      case 2: return Int64(load(offset, Int16.self))
      case 4: return Int64(load(offset, Int32.self))
      default: return load(offset, Int64.self)
      }
    }
    set {
      let offset = isSecond ? field.second : field.first
      switch isSecond ? field.secondSize : field.firstSize {
      case 1: bytes[offset] = UInt8(truncatingIfNeeded: newValue)
      case 2: store(Int16(truncatingIfNeeded: newValue), offset)
      case 4: store(Int32(truncatingIfNeeded: newValue), offset)
      default: store(newValue, offset)
      }
    }
  }

  subscript(_ field: RealField) -> Double {
    get {
      isSecond
        ? Double(bitPattern: load(field.second, UInt64.self))
        : Double(Float(bitPattern: load(field.first, UInt32.self)))
    }
    set {
      if isSecond {
        store(newValue.bitPattern, field.second)
      } else {
        store(Float(newValue).bitPattern, field.first)
      }
    }
  }

  subscript(_ field: TextField) -> String {
    get {
      let offset = isSecond ? field.second : field.first
      return String(decoding: bytes[offset..<offset + field.room].prefix { $0 != 0 }, as: UTF8.self)
    }
    set {
      let offset = isSecond ? field.second : field.first
      let text = Array(newValue.utf8.prefix(field.room))
      let padding = [UInt8](repeating: 0, count: field.room - text.count)
      bytes.replaceSubrange(offset..<offset + field.room, with: text + padding)
    }
  }

  /// Says that the voxels follow directly in the same file, and adds an extension flag of none.
  mutating func beSingleFile() {
    bytes[isSecond ? 5 : 345] = UInt8(ascii: "+")
    if isSecond { self[.secondVoxOffset] = 544 } else { self[.firstVoxOffset] = 352 }
    bytes += [0, 0, 0, 0]
  }

  private func load<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
    let value = bytes.loadLittle(offset, as: type)
    return isBigEndian ? value.byteSwapped : value
  }

  private mutating func store<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
    let ordered = isBigEndian ? value.byteSwapped : value
    bytes.withUnsafeMutableBytes { $0.storeLittle(ordered, at: offset) }
  }
}

internal import ByteIO
internal import VolumeFormat

/// The fields of a NIfTI-1, NIfTI-2 or Analyze 7.5 header that say how to read the voxels and
/// what they mean, as they stand in the file.
///
/// Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.
struct NIfTIHeader: Sendable {
  /// Which of the three formats.
  enum Format: String, Sendable {
    case nifti1, nifti2, analyze75
  }

  var format: Format
  var isBigEndian: Bool
  /// The header is a file of its own and the voxels are in another.
  var isPair: Bool
  /// dim[0] to dim[7].
  var dim: [Int64]
  var datatype: Int
  var bitpix: Int
  /// pixdim[0] to pixdim[7].
  var pixdim: [Double]
  var voxOffset: Double
  var slope: Double
  var intercept: Double
  var units: Int
  var qformCode: Int
  var sformCode: Int
  /// quatern_b, c and d.
  var quaternion: [Double]
  /// qoffset_x, y and z.
  var qoffset: [Double]
  /// srow_x, y and z, four numbers each.
  var srow: [[Double]]
  var intentCode: Int
  var intentParameters: [Double]
  var intentName: String
  var descrip: String
  /// `glmin`, which FreeSurfer uses for a first dimension over 32,767.
  var glmin: Int
  /// What was wrong and how it was read.
  var quirks: [String] = []

  /// Bytes of the header itself.
  var size: Int { format == .nifti2 ? 540 : 348 }

  /// The least offset of voxels in a single file: header and extension flag.
  var minimumOffset: Int { size + 4 }

  /// How many bytes decide which format it is.
  static let prefixSize = 348

  /// How many bytes the header has that begins with these 348; nil if they begin none.
  static func size(of prefix: [UInt8]) -> Int? {
    guard prefix.count >= prefixSize else { return nil }
    // The magic of NIfTI-2 stands where NIfTI-1 has text; either is believed before the size.
    if ["n+2", "ni2"].contains(where: { prefix[4..<7].elementsEqual($0.utf8) }) { return 540 }
    if ["n+1\0", "ni1\0"].contains(where: { prefix[344..<348].elementsEqual($0.utf8) }) {
      return 348
    }
    let size = prefix.loadLittle(0, as: Int32.self)
    return size == 540 || size.byteSwapped == 540 ? 540 : 348
  }

  /// Reads a header of 348 or 540 bytes.
  ///
  /// - Parameters:
  ///   - bytes: as many as `size(of:)` says.
  ///   - path: for messages.
  /// - Throws: `NIfTIError` if it is no header of a kind that is read.
  init(_ bytes: [UInt8], path: String) throws(NIfTIError) {
    precondition(bytes.count == 348 || bytes.count == 540)
    let isSecond = bytes.count == 540
    format = isSecond ? .nifti2 : .nifti1
    var quirks: [String] = []

    let magic = Array(isSecond ? bytes[4..<12] : bytes[344..<348])
    switch String(decoding: magic.prefix(4), as: UTF8.self) {
    case "n+1\0", "n+2\0": isPair = false
    case "ni1\0", "ni2\0": isPair = true
    default:
      guard !isSecond, magic[0] != 0x6E else {
        throw NIfTIError(path, "its magic is not one of NIfTI's")
      }
      format = .analyze75
      isPair = true
    }
    if isSecond, Array(magic[4...]) != [0x0D, 0x0A, 0x1A, 0x0A] {
      throw NIfTIError(path, "its magic was mangled, as by a transfer in text mode")
    }

    let length = bytes.loadLittle(0, as: Int32.self)
    let wanted = Int32(bytes.count)
    // dim[0] has only seven values that are good, and none of them is good the other way round.
    let dimLittle =
      isSecond ? bytes.loadLittle(16, as: Int64.self) : Int64(bytes.loadLittle(40, as: Int16.self))
    let dimBig =
      isSecond
      ? bytes.loadLittle(16, as: Int64.self).byteSwapped
      : Int64(bytes.loadLittle(40, as: Int16.self).byteSwapped)
    if length == wanted {
      isBigEndian = false
    } else if length.byteSwapped == wanted {
      isBigEndian = true
    } else {
      guard format != .analyze75, (1...7).contains(dimLittle) || (1...7).contains(dimBig) else {
        throw NIfTIError(path, "not a NIfTI file")
      }
      isBigEndian = !(1...7).contains(dimLittle)
      quirks.append("sizeof_hdr is wrong, taken as \(wanted)")
    }
    guard (1...7).contains(isBigEndian ? dimBig : dimLittle) else {
      throw NIfTIError(
        path,
        format == .analyze75
          ? "not a NIfTI file"
          : "it has \(isBigEndian ? dimBig : dimLittle) dimensions (dim[0]), not 1 to 7")
    }

    let f = FieldReader(bytes: bytes, isBigEndian: isBigEndian, isSecond: isSecond)
    dim = (0..<8).map { f.integer(first: 40 + 2 * $0, 2, second: 16 + 8 * $0, 8) }
    datatype = Int(f.integer(first: 70, 2, second: 12, 2))
    bitpix = Int(f.integer(first: 72, 2, second: 14, 2))
    pixdim = (0..<8).map { f.real(first: 76 + 4 * $0, second: 104 + 8 * $0) }
    voxOffset =
      isSecond ? Double(f.integer(first: 0, 4, second: 168, 8)) : f.real(first: 108, second: 0)
    slope = f.real(first: 112, second: 176)
    intercept = f.real(first: 116, second: 184)
    units = Int(f.integer(first: 123, 1, second: 500, 4))
    qformCode = Int(f.integer(first: 252, 2, second: 344, 4))
    sformCode = Int(f.integer(first: 254, 2, second: 348, 4))
    quaternion = (0..<3).map { f.real(first: 256 + 4 * $0, second: 352 + 8 * $0) }
    qoffset = (0..<3).map { f.real(first: 268 + 4 * $0, second: 376 + 8 * $0) }
    srow = (0..<3).map { row in
      (0..<4).map { column in
        f.real(first: 280 + 16 * row + 4 * column, second: 400 + 32 * row + 8 * column)
      }
    }
    intentCode = Int(f.integer(first: 68, 2, second: 504, 4))
    intentParameters = (0..<3).map { f.real(first: 56 + 4 * $0, second: 80 + 8 * $0) }
    intentName = f.text(first: 328, second: 508, 16)
    descrip = f.text(first: 148, second: 240, 80)
    glmin = isSecond ? 0 : Int(f.integer(first: 144, 4, second: 0, 4))
    self.quirks = quirks
    if format == .analyze75 { forgetWhatAnalyzeLacks() }
  }

  /// Analyze 7.5 has other fields where NIfTI keeps scaling, units, intent and transforms.
  private mutating func forgetWhatAnalyzeLacks() {
    slope = 0
    intercept = 0
    units = 0
    qformCode = 0
    sformCode = 0
    intentCode = 0
    intentParameters = [0, 0, 0]
    intentName = ""
    pixdim[0] = 0
    quirks.append("Analyze 7.5: the orientation is unknown")
  }
}

/// Takes fields from a header in either byte order and format.
private struct FieldReader {
  let bytes: [UInt8]
  let isBigEndian: Bool
  let isSecond: Bool

  func integer(first: Int, _ firstSize: Int, second: Int, _ secondSize: Int) -> Int64 {
    let offset = isSecond ? second : first
    switch isSecond ? secondSize : firstSize {
    case 1: return Int64(bytes[offset])
    case 2: return Int64(load(offset, Int16.self))
    case 4: return Int64(load(offset, Int32.self))
    default: return load(offset, Int64.self)
    }
  }

  func real(first: Int, second: Int) -> Double {
    isSecond
      ? Double(bitPattern: load(second, UInt64.self))
      : Double(Float(bitPattern: load(first, UInt32.self)))
  }

  func text(first: Int, second: Int, _ length: Int) -> String {
    let offset = isSecond ? second : first
    return String(decoding: bytes[offset..<offset + length].prefix { $0 != 0 }, as: UTF8.self)
  }

  private func load<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
    let value = bytes.loadLittle(offset, as: type)
    return isBigEndian ? value.byteSwapped : value
  }
}

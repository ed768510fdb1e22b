/// The fields of a NIfTI-1, NIfTI-2 or Analyze 7.5 header that say how to read the voxels and
/// what they mean, as they stand in the file.
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
  var size: Int { format == .nifti2 ? HeaderFields.secondSize : HeaderFields.firstSize }

  /// The least offset of voxels in a single file: header and extension flag.
  var minimumOffset: Int { size + HeaderFields.extensionFlagSize }

  /// How many bytes decide which format it is.
  static let prefixSize = HeaderFields.firstSize

  /// How many bytes the header has that begins with these 348; nil if they begin none.
  static func size(of prefix: [UInt8]) -> Int? {
    guard prefix.count >= prefixSize else { return nil }
    // The magic of NIfTI-2 stands where NIfTI-1 has text; either is believed before the size.
    if hasSecondMagic(prefix) { return HeaderFields.secondSize }
    if hasFirstMagic(prefix) { return HeaderFields.firstSize }
    let saysSecond = [false, true].contains { isBigEndian in
      let fields = HeaderFields(bytes: prefix, isSecond: true, isBigEndian: isBigEndian)
      return fields[.headerSize] == HeaderFields.secondSize
    }
    return saysSecond ? HeaderFields.secondSize : HeaderFields.firstSize
  }

  /// Whether bytes are marked as those of NIfTI.
  static func hasMagic(_ prefix: [UInt8]) -> Bool {
    prefix.count >= prefixSize && (hasFirstMagic(prefix) || hasSecondMagic(prefix))
  }

  private static func hasFirstMagic(_ prefix: [UInt8]) -> Bool {
    let magic = HeaderFields(bytes: prefix, isSecond: false, isBigEndian: false)[.magic]
    return ["n+1\0", "ni1\0"].contains { magic.elementsEqual($0.utf8) }
  }

  private static func hasSecondMagic(_ prefix: [UInt8]) -> Bool {
    let magic = HeaderFields(bytes: prefix, isSecond: true, isBigEndian: false)[.magic]
    return ["n+2", "ni2"].contains { magic.starts(with: $0.utf8) }
  }

  /// Reads a header of 348 or 540 bytes.
  ///
  /// - Parameters:
  ///   - bytes: as many as `size(of:)` says.
  ///   - path: for messages.
  /// - Throws: `NIfTIError` if it is no header of a kind that is read.
  init(_ bytes: [UInt8], path: String) throws(NIfTIError) {
    let isSecond = bytes.count == HeaderFields.secondSize
    precondition(isSecond || bytes.count == HeaderFields.firstSize)
    let little = HeaderFields(bytes: bytes, isSecond: isSecond, isBigEndian: false)
    let big = HeaderFields(bytes: bytes, isSecond: isSecond, isBigEndian: true)
    format = isSecond ? .nifti2 : .nifti1
    var quirks: [String] = []

    let magic = little[.magic]
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
    if isSecond, Array(magic[4...]) != HeaderFields.transferMark {
      throw NIfTIError(path, "its magic was mangled, as by a transfer in text mode")
    }

    // dim[0] has only seven values that are good, and none of them is good the other way round.
    let (dimLittle, dimBig) = (little[.dim(0)], big[.dim(0)])
    if little[.headerSize] == bytes.count {
      isBigEndian = false
    } else if big[.headerSize] == bytes.count {
      isBigEndian = true
    } else {
      guard format != .analyze75, (1...7).contains(dimLittle) || (1...7).contains(dimBig) else {
        throw NIfTIError(path, "not a NIfTI file")
      }
      isBigEndian = !(1...7).contains(dimLittle)
      quirks.append("sizeof_hdr is wrong, taken as \(bytes.count)")
    }
    guard (1...7).contains(isBigEndian ? dimBig : dimLittle) else {
      throw NIfTIError(
        path,
        format == .analyze75
          ? "not a NIfTI file"
          : "it has \(isBigEndian ? dimBig : dimLittle) dimensions (dim[0]), not 1 to 7")
    }

    let f = isBigEndian ? big : little
    dim = (0..<8).map { f[.dim($0)] }
    datatype = Int(f[.datatype])
    bitpix = Int(f[.bitpix])
    pixdim = (0..<8).map { f[.pixdim($0)] }
    voxOffset = f[.voxOffset]
    slope = f[.slope]
    intercept = f[.intercept]
    units = Int(f[.units])
    qformCode = Int(f[.qformCode])
    sformCode = Int(f[.sformCode])
    quaternion = (0..<3).map { f[.quaternion($0)] }
    qoffset = (0..<3).map { f[.qoffset($0)] }
    srow = (0..<3).map { row in (0..<4).map { f[.srow(row, $0)] } }
    intentCode = Int(f[.intentCode])
    intentParameters = (0..<3).map { f[.intentParameter($0)] }
    intentName = f[.intentName]
    descrip = f[.description]
    glmin = Int(f[.glmin])
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

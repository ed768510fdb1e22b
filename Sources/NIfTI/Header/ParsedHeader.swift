internal import ByteIO
internal import Frames

/// What a NIfTI header that came with a volume says, as an open frame would say it.
struct ParsedHeader {
  let header: NIfTIHeader
  let volume: VolumeHeader

  /// Reads a header without extensions.
  ///
  /// - Throws: `NIfTIError`, whose reason counts, if it is none that `nifti-cat` reads.
  init(_ bytes: [UInt8]) throws(NIfTIError) {
    guard NIfTIHeader.size(of: bytes) == bytes.count else {
      throw NIfTIError("", "not a NIfTI header")
    }
    header = try NIfTIHeader(bytes, path: "")
    volume = VolumeHeader(
      header, layout: try VoxelLayout(header, path: ""), name: "",
      source: VolumeHeader.Source(
        format: ExactString(header.format.rawValue), path: nil,
        byteOrder: header.isBigEndian ? "big" : "little",
        layout: header.isPair ? "pair" : "single", compression: nil, header: nil, headerBytes: nil),
      quirks: [])
  }
}

extension VolumeHeader {
  /// Millimetres in the unit of `qform` and `sform`; 1 where it is not known.
  var millimetresPerUnit: Double {
    switch units?.space {
    case "m": 1000
    case "um": 0.001
    default: 1
    }
  }
}

extension VolumeHeader.Intent {
  /// Whether it says the same as `other`; parameters that are no numbers are alike.
  func isSame(as other: Self) -> Bool {
    code == other.code && name == other.name && parameters.count == other.parameters.count
      && zip(parameters, other.parameters).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
  }
}

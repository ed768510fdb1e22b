public import Frames

/// The header of a NumPy array file (.npy).
///
/// Source: the format's specification, `numpy.lib.format`: `\x93NUMPY`, version, length, and a
/// Python dictionary with `descr`, `fortran_order` and `shape`, padded to a multiple of 64 bytes.
public struct NpyHeader: Sendable {
  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// Makes the header for the voxels of a volume as a volume's frames hold them: X fastest.
  ///
  /// Colours become the fields R, G, B and A, as nibabel has them.
  public static func make(_ header: VolumeHeader) -> [UInt8] {
    let type = name(of: header.dtype)
    let fields = ["R", "G", "B", "A"].prefix(header.channels).map { "('\($0)', '\(type)')" }
    let descr = header.channels == 1 ? "'\(type)'" : "[\(fields.joined(separator: ", "))]"
    let shape = header.shape.map { "\($0)," }.joined(separator: " ")
    let text = "{'descr': \(descr), 'fortran_order': True, 'shape': (\(shape)), }"
    let length = (10 + text.utf8.count + 1 + 63) / 64 * 64 - 10
    let padding = String(repeating: " ", count: length - text.utf8.count - 1)
    return magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)]
      + Array("\(text)\(padding)\n".utf8)
  }

  private static func name(of type: DataType) -> String {
    let kind =
      switch type {
      case .int8, .int16, .int32, .int64: "i"
      case .uint8, .uint16, .uint32, .uint64: "u"
      case .float32, .float64: "f"
      case .complex64, .complex128: "c"
      }
    return "\(type.size == 1 ? "|" : "<")\(kind)\(type.size)"
  }
}

public import ByteIO
public import Frames

/// An open NumPy array file (.npy), whose header was read.
///
/// Source: `numpy.lib.format`, versions 1.0 to 3.0.
public final class NpyArray {
  /// The most bytes of a header.
  package static let maximumHeader = 1 << 20

  /// Extents in the order in which the array has them.
  public let shape: [Int]
  /// Whether the first axis runs fastest in the file, not the last.
  public let isFortranOrder: Bool
  /// Type of a value in the file; booleans are `uint8`.
  let type: ArrayType
  /// Type of a value in the volume.
  public let dtype: DataType
  /// Values a voxel: 3 or 4 for the fields of a structured type of bytes.
  public let channels: Int
  /// Whether values are big-endian.
  public let isBigEndian: Bool
  let file: InputFile
  package let dataOffset: UInt64
  /// Bytes of its values.
  package let byteCount: UInt64
  private let name: String

  /// Reads the header.
  ///
  /// - Parameters:
  ///   - file: a file that can be read at any place.
  ///   - name: what to call it in messages.
  ///   - size: bytes that it will have; those of the file if nil.
  ///   - wanted: the type that values are to become; nil for the file's, or `float32` for halves.
  /// - Throws: `FormatError` if it is no array file, or of values that volumes cannot have, or
  ///   shorter than its shape; `IOFailure`.
  public init(
    _ file: InputFile, name: String, size: UInt64? = nil, as wanted: DataType? = nil
  ) throws {
    func bad(_ reason: String) -> FormatError { FormatError(name, reason) }
    self.file = file
    self.name = name
    var prelude = [UInt8](repeating: 0, count: 12)
    let taken = try prelude.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    guard taken == 12, Array(prelude[..<6]) == NpyHeader.magic else {
      throw bad("not a NumPy array file")
    }
    guard (1...3).contains(prelude[6]) else {
      throw bad("version \(prelude[6]) of the array file's format is not known")
    }
    let start = prelude[6] == 1 ? 10 : 12
    let length =
      prelude[6] == 1
      ? Int(prelude[8]) | Int(prelude[9]) << 8
      : prelude[8..<12].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= Self.maximumHeader else { throw bad("its header is over 1 MiB") }
    var text = [UInt8](repeating: 0, count: length)
    let got = try text.withUnsafeMutableBytes { try file.read(at: UInt64(start), into: $0) }
    guard got == length, case .dictionary(let fields)? = PythonLiteral(text),
      let descr = fields["descr"], case .boolean(let isFortranOrder)? = fields["fortran_order"],
      case .list(let items)? = fields["shape"]
    else { throw bad("its header is damaged") }
    var shape: [Int] = []
    for case .number(let extent) in items { shape.append(extent) }
    guard shape.count == items.count else { throw bad("its header is damaged") }
    guard let (type, channels, isBigEndian) = Self.type(descr) else {
      throw bad(
        "its type is not one that volumes have: integers, floats of 16, 32 and 64 bits, complex64, "
          + "complex128, booleans, or a structure of three or four bytes")
    }
    guard
      wanted == nil || (channels == 1 && ValueConversion.isOfNumbers(type.natural))
    else { throw bad("complex numbers and colours become no other type") }
    self.shape = shape
    self.isFortranOrder = isFortranOrder
    (self.type, self.channels, self.isBigEndian) = (type, channels, isBigEndian)
    dtype = wanted ?? type.natural
    dataOffset = UInt64(start + length)
    var probe = VolumeHeader(name: "array", shape: shape, dtype: dtype)
    probe.channels = channels
    if let defect = probe.defect() { throw bad(defect) }
    let (bytes, overflow) = probe.voxelCount.multipliedReportingOverflow(
      by: UInt64(type.size * channels))
    guard !overflow, bytes <= VolumeHeader.maximumBytes else { throw bad("it is over 2^53 bytes") }
    byteCount = bytes
    guard let size = try size ?? file.size(), size >= dataOffset,
      size - dataOffset >= byteCount
    else { throw bad("it ends before its last value") }
  }

  private static func type(_ descr: PythonLiteral) -> (ArrayType, Int, Bool)? {
    switch descr {
    case .text(let text):
      let types: [String: DataType] = [
        "b1": .uint8, "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64, "u1": .uint8,
        "u2": .uint16, "u4": .uint32, "u8": .uint64, "f4": .float32, "f8": .float64,
        "c8": .complex64, "c16": .complex128,
      ]
      guard let order = text.utf8.first, [0x3C, 0x3D, 0x3E, 0x7C].contains(order) else {
        return nil
      }
      let code = String(text.dropFirst())
      guard let type = code == "f2" ? .float16 : types[code].map(ArrayType.volume) else {
        return nil
      }
      return (type, 1, order == UInt8(ascii: ">"))
    case .list(let fields) where fields.count == 3 || fields.count == 4:
      for field in fields {
        guard case .list(let parts) = field, parts.count == 2, parts[1] == .text("|u1") else {
          return nil
        }
      }
      return (.volume(.uint8), fields.count, false)
    default: return nil
    }
  }
}

/// A type of stored values, by its Zarr v3 name.
public enum DataType: String, Sendable, CaseIterable {
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64
  case float32, float64
  case complex64, complex128

  /// Bytes a value.
  public var size: Int {
    switch self {
    case .int8, .uint8: 1
    case .int16, .uint16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64, .complex64: 8
    case .complex128: 16
    }
  }

  /// Bytes of the part that byte order applies to: of a complex value, one of its two.
  public var swapSize: Int {
    switch self {
    case .complex64: 4
    case .complex128: 8
    default: size
    }
  }
}

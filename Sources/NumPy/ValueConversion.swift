public import Frames

/// A type of values as array files have it; all but half floats are types of volumes.
public enum ArrayType: Sendable, Equatable {
  case float16
  case volume(DataType)

  /// Bytes a value.
  var size: Int {
    switch self {
    case .float16: 2
    case .volume(let type): type.size
    }
  }

  /// Bytes of the part that byte order applies to.
  var swapSize: Int {
    switch self {
    case .float16: 2
    case .volume(let type): type.swapSize
    }
  }

  /// The type of volumes that holds all its values.
  var natural: DataType {
    switch self {
    case .float16: .float32
    case .volume(let type): type
    }
  }
}

/// Turns values of one type into another, of real numbers.
///
/// Integers stay what they are, or are refused; real numbers become the nearest of the other type,
/// and integers only if they are whole.
struct ValueConversion {
  let source: ArrayType
  let target: DataType

  /// A value that the target cannot hold.
  struct Unfit: Error {
    /// As text.
    var value: String
    /// Its number in the values that were given.
    var index: Int
  }

  private enum Number {
    case whole(Int128)
    case real(Double)

    var text: String {
      switch self {
      case .whole(let value): "\(value)"
      case .real(let value): "\(value)"
      }
    }
  }

  /// Whether both types are of real numbers.
  static func isOfNumbers(_ type: DataType) -> Bool { type != .complex64 && type != .complex128 }

  /// Converts values in the order of this machine's bytes.
  ///
  /// - Parameters:
  ///   - values: those of the source.
  ///   - result: room for as many of the target.
  /// - Throws: `Unfit` for the first that the target cannot hold.
  func convert(
    _ values: UnsafeRawBufferPointer, into result: UnsafeMutableRawBufferPointer
  ) throws(Unfit) {
    for index in 0..<values.count / source.size {
      let number = load(values, index)
      guard store(number, result, index) else { throw Unfit(value: number.text, index: index) }
    }
  }

  private func load(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Number {
    let offset = index * source.size
    func whole<T: BinaryInteger & BitwiseCopyable>(_ type: T.Type) -> Number {
      .whole(Int128(bytes.loadUnaligned(fromByteOffset: offset, as: T.self)))
    }
    switch source {
    case .float16:
      return .real(Double(bytes.loadUnaligned(fromByteOffset: offset, as: Float16.self)))
    case .volume(let type):
      switch type {
      case .int8: return whole(Int8.self)
      case .int16: return whole(Int16.self)
      case .int32: return whole(Int32.self)
      case .int64: return whole(Int64.self)
      case .uint8: return whole(UInt8.self)
      case .uint16: return whole(UInt16.self)
      case .uint32: return whole(UInt32.self)
      case .uint64: return whole(UInt64.self)
      case .float32:
        return .real(Double(bytes.loadUnaligned(fromByteOffset: offset, as: Float.self)))
      case .float64, .complex64, .complex128:
        return .real(bytes.loadUnaligned(fromByteOffset: offset, as: Double.self))
      }
    }
  }

  /// Writes a number; false if the target cannot hold it.
  private func store(
    _ number: Number, _ bytes: UnsafeMutableRawBufferPointer, _ index: Int
  ) -> Bool {
    let offset = index * target.size
    func whole<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> Bool {
      let value: T? =
        switch number {
        case .whole(let value): T(exactly: value)
        case .real(let value): T(exactly: value)
        }
      guard let value else { return false }
      bytes.storeBytes(of: value, toByteOffset: offset, as: T.self)
      return true
    }
    func real<T: BinaryFloatingPoint & BitwiseCopyable>(_ type: T.Type) -> Bool {
      let (value, isFinite): (T, Bool) =
        switch number {
        case .whole(let value): (T(value), true)
        case .real(let value): (T(value), value.isFinite)
        }
      // What is too large would become infinite.
      guard value.isFinite || !isFinite else { return false }
      bytes.storeBytes(of: value, toByteOffset: offset, as: T.self)
      return true
    }
    switch target {
    case .int8: return whole(Int8.self)
    case .int16: return whole(Int16.self)
    case .int32: return whole(Int32.self)
    case .int64: return whole(Int64.self)
    case .uint8: return whole(UInt8.self)
    case .uint16: return whole(UInt16.self)
    case .uint32: return whole(UInt32.self)
    case .uint64: return whole(UInt64.self)
    case .float32: return real(Float.self)
    case .float64: return real(Double.self)
    case .complex64, .complex128: return false
    }
  }
}

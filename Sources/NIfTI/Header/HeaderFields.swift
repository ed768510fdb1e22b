internal import ByteIO

/// The bytes of a header, and its fields in either byte order and format.
struct HeaderFields {
  /// Bytes of a header of NIfTI-1 or Analyze 7.5.
  static let firstSize = 348
  /// Bytes of a header of NIfTI-2.
  static let secondSize = 540
  /// Bytes behind the header of a single file, which say whether there are extensions.
  static let extensionFlagSize = 4

  /// At least 348 bytes of NIfTI-1 or Analyze, or 540 of NIfTI-2.
  var bytes: [UInt8]
  let isSecond: Bool
  let isBigEndian: Bool

  /// Bytes of the header itself.
  var size: Int { isSecond ? Self.secondSize : Self.firstSize }

  // MARK: Fields

  /// An integer; 0 if the format does not have it.
  ///
  /// Of a value that is too large, the low bits are stored.
  subscript(_ field: IntegerField) -> Int64 {
    get { (isSecond ? field.second : field.first).map(integer) ?? 0 }
    set {
      if let place = isSecond ? field.second : field.first { store(newValue, place) }
    }
  }

  /// A real number; stored as the nearest that its type has, or whole where that is an integer's.
  subscript(_ field: RealField) -> Double {
    get {
      let place = isSecond ? field.second : field.first
      return switch place.type {
      case .float32: Double(Float(bitPattern: load(place.offset, UInt32.self)))
      case .float64: Double(bitPattern: load(place.offset, UInt64.self))
      case .uint8, .int16, .int32, .int64: Double(integer(place))
      }
    }
    set {
      let place = isSecond ? field.second : field.first
      switch place.type {
      case .float32: store(Float(newValue).bitPattern, place.offset)
      case .float64: store(newValue.bitPattern, place.offset)
      case .uint8, .int16, .int32, .int64: store(Int64(newValue), place)
      }
    }
  }

  /// A text; stored as far as there is room.
  subscript(_ field: TextField) -> String {
    get {
      let place = isSecond ? field.second : field.first
      return String(decoding: bytes[place].prefix { $0 != 0 }, as: UTF8.self)
    }
    set {
      let place = isSecond ? field.second : field.first
      let text = Array(newValue.utf8.prefix(place.count))
      let padding = [UInt8](repeating: 0, count: place.count - text.count)
      bytes.replaceSubrange(place, with: text + padding)
    }
  }

  /// Bytes, as many as the field has; none if the format does not have it.
  subscript(_ field: BytesField) -> [UInt8] {
    get { (isSecond ? field.second : field.first).map { Array(bytes[$0]) } ?? [] }
    set {
      guard let place = isSecond ? field.second : field.first else { return }
      precondition(newValue.count == place.count)
      bytes.replaceSubrange(place, with: newValue)
    }
  }

  // MARK: Magic

  /// What follows the letters of NIfTI-2's magic and a zero byte.
  static let transferMark: [UInt8] = [0x0D, 0x0A, 0x1A, 0x0A]

  /// Says which format this is, voxels in the same file.
  mutating func setMagic() {
    self[.magic] = isSecond ? Array("n+2\0".utf8) + Self.transferMark : Array("n+1\0".utf8)
  }

  /// Says that the voxels follow directly in the same file, and adds an extension flag of none.
  mutating func beSingleFile() {
    self[.magic][1] = UInt8(ascii: "+")
    self[.voxOffset] = Double(size + Self.extensionFlagSize)
    bytes += [UInt8](repeating: 0, count: Self.extensionFlagSize)
  }

  // MARK: Numbers

  private func integer(_ place: NumberPlace) -> Int64 {
    switch place.type {
    case .uint8: Int64(bytes[place.offset])
    case .int16: Int64(load(place.offset, Int16.self))
    case .int32: Int64(load(place.offset, Int32.self))
    case .int64: load(place.offset, Int64.self)
    case .float32, .float64: preconditionFailure("a field that is no integer")
    }
  }

  private mutating func store(_ value: Int64, _ place: NumberPlace) {
    switch place.type {
    case .uint8: bytes[place.offset] = UInt8(truncatingIfNeeded: value)
    case .int16: store(Int16(truncatingIfNeeded: value), place.offset)
    case .int32: store(Int32(truncatingIfNeeded: value), place.offset)
    case .int64: store(value, place.offset)
    case .float32, .float64: preconditionFailure("a field that is no integer")
    }
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

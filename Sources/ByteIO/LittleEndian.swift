/// Loads and stores of unaligned little-endian integers.
///
/// Every integer of the formats goes through these two.
extension UnsafeRawBufferPointer {
  /// The integer at byte `offset`, which must lie inside the buffer.
  @inlinable
  public func loadLittle<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
    return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores `value` at byte `offset`, which must lie inside the buffer.
  @inlinable
  public func storeLittle<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }
}

extension [UInt8] {
  /// Appends `value`, little-endian.
  @inlinable
  public mutating func appendLittle<T: FixedWidthInteger>(_ value: T) {
    Swift.withUnsafeBytes(of: value.littleEndian) { self.append(contentsOf: $0) }
  }

  /// The little-endian integer at byte `offset`, which must lie inside the array.
  @inlinable
  public func loadLittle<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
    withUnsafeBytes { $0.loadLittle(offset, as: type) }
  }
}

/// A cursor over bytes that came from outside: it returns nil where they end too soon.
public struct ByteCursor {
  /// The bytes.
  public let bytes: UnsafeRawBufferPointer
  /// How many were taken.
  public private(set) var offset = 0

  /// Begins at the first byte of `bytes`, which must outlive the cursor.
  public init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  /// How many bytes are left.
  public var remaining: Int { bytes.count - offset }

  /// Takes an integer.
  public mutating func integer<T: FixedWidthInteger>(_ type: T.Type) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    defer { offset += MemoryLayout<T>.size }
    return bytes.loadLittle(offset, as: type)
  }

  /// Takes `count` bytes.
  public mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, remaining >= count else { return nil }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }
}

/// Reverses the bytes of each value of `size` bytes.
public func swapValues(_ bytes: UnsafeMutableRawBufferPointer, size: Int) {
  func swap<T: FixedWidthInteger>(_ type: T.Type) {
    let values = bytes.bindMemory(to: T.self)
    for index in values.indices { values[index] = values[index].byteSwapped }
  }
  switch size {
  case 2: swap(UInt16.self)
  case 4: swap(UInt32.self)
  case 8: swap(UInt64.self)
  default: break
  }
}

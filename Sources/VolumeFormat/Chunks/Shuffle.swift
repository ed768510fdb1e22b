/// Byte shuffle, as in Blosc: all first bytes of the values, then all second bytes, and so on.
enum Shuffle {
  /// Shuffles `count` values of `size` bytes from `source` to `target`.
  static func apply(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int, size: Int
  ) {
    switch size {
    case 2: split(source, target, count, as: UInt16.self)
    case 4: split(source, target, count, as: UInt32.self)
    case 8: split(source, target, count, as: UInt64.self)
    default:
      for index in 0..<count {
        for byte in 0..<size {
          target.storeBytes(
            of: source.load(fromByteOffset: index * size + byte, as: UInt8.self),
            toByteOffset: byte * count + index, as: UInt8.self)
        }
      }
    }
  }

  /// The inverse of `apply`.
  static func undo(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int, size: Int
  ) {
    switch size {
    case 2: join(source, target, count, as: UInt16.self)
    case 4: join(source, target, count, as: UInt32.self)
    case 8: join(source, target, count, as: UInt64.self)
    default:
      for index in 0..<count {
        for byte in 0..<size {
          target.storeBytes(
            of: source.load(fromByteOffset: byte * count + index, as: UInt8.self),
            toByteOffset: index * size + byte, as: UInt8.self)
        }
      }
    }
  }

  // The compiler turns these loops into vector code: no branch, one load, `size` stores.
  // Blocks keep the streams of all byte planes in the nearest cache.
  private static let block = 4096

  @inline(__always)
  private static func split<T: FixedWidthInteger>(
    _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int, as type: T.Type
  ) {
    let values = source.assumingMemoryBound(to: T.self)
    let bytes = target.assumingMemoryBound(to: UInt8.self)
    var start = 0
    while start < count {
      let end = min(count, start + block)
      for plane in 0..<MemoryLayout<T>.size {
        let shift = T(truncatingIfNeeded: plane * 8)
        let out = bytes + plane * count
        for index in start..<end {
          out[index] = UInt8(truncatingIfNeeded: T(littleEndian: values[index]) &>> shift)
        }
      }
      start = end
    }
  }

  @inline(__always)
  private static func join<T: FixedWidthInteger>(
    _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int, as type: T.Type
  ) {
    let bytes = source.assumingMemoryBound(to: UInt8.self)
    let values = target.assumingMemoryBound(to: T.self)
    var start = 0
    while start < count {
      let end = min(count, start + block)
      for index in start..<end {
        values[index] = T(littleEndian: T(truncatingIfNeeded: bytes[index]))
      }
      for plane in 1..<MemoryLayout<T>.size {
        let shift = T(truncatingIfNeeded: plane * 8)
        let from = bytes + plane * count
        for index in start..<end {
          values[index] |= (T(truncatingIfNeeded: from[index]) &<< shift).littleEndian
        }
      }
      start = end
    }
  }
}

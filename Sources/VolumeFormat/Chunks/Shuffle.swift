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
    undo(
      from: source, planeCount: count, to: target, count: count, size: size, rows: 1,
      sourceStride: 0, targetStride: 0)
  }

  /// The inverse of `apply` for some of the values: `count` in each of several rows.
  ///
  /// - Parameters:
  ///   - source: the first byte of the first value that is wanted.
  ///   - planeCount: how many values were shuffled: so far apart are the bytes of a value.
  ///   - target: where the values go.
  ///   - count: how many are wanted in a row.
  ///   - size: bytes a value.
  ///   - rows: how many rows.
  ///   - sourceStride: how far apart they are in the source, in values.
  ///   - targetStride: how far apart they are in the target, in bytes.
  static func undo(
    from source: UnsafeRawPointer, planeCount: Int, to target: UnsafeMutableRawPointer, count: Int,
    size: Int, rows: Int, sourceStride: Int, targetStride: Int
  ) {
    let bytes = source.assumingMemoryBound(to: UInt8.self)
    // The rows are inside of the choice: what it takes to make it is more than many a row takes.
    switch size {
    case 1:
      for row in 0..<rows {
        (target + row * targetStride).copyMemory(from: bytes + row * sourceStride, byteCount: count)
      }
    case 2: join(bytes, planeCount, target, count, rows, sourceStride, targetStride)
    case 4: join(bytes, planeCount, target, count, rows, sourceStride, targetStride, UInt32.self)
    case 8: join(bytes, planeCount, target, count, rows, sourceStride, targetStride, UInt64.self)
    default:
      for row in 0..<rows {
        for index in 0..<count {
          for byte in 0..<size {
            target.storeBytes(
              of: bytes[byte * planeCount + row * sourceStride + index],
              toByteOffset: row * targetStride + index * size + byte, as: UInt8.self)
          }
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

  @inline(never)
  private static func join(
    _ bytes: UnsafePointer<UInt8>, _ planeCount: Int, _ target: UnsafeMutableRawPointer,
    _ count: Int, _ rows: Int, _ sourceStride: Int, _ targetStride: Int
  ) {
    for row in 0..<rows {
      let values = (target + row * targetStride).assumingMemoryBound(to: UInt16.self)
      let low = bytes + row * sourceStride
      let high = low + planeCount
      for index in 0..<count {
        values[index] = (UInt16(low[index]) | UInt16(high[index]) &<< 8).littleEndian
      }
    }
  }

  @inline(__always)
  private static func join<T: FixedWidthInteger>(
    _ bytes: UnsafePointer<UInt8>, _ planeCount: Int, _ target: UnsafeMutableRawPointer,
    _ count: Int, _ rows: Int, _ sourceStride: Int, _ targetStride: Int, _ type: T.Type
  ) {
    for row in 0..<rows {
      let values = (target + row * targetStride).assumingMemoryBound(to: T.self)
      let first = bytes + row * sourceStride
      var start = 0
      while start < count {
        let end = min(count, start + block)
        for index in start..<end {
          values[index] = T(littleEndian: T(truncatingIfNeeded: first[index]))
        }
        for plane in 1..<MemoryLayout<T>.size {
          let shift = T(truncatingIfNeeded: plane * 8)
          let from = first + plane * planeCount
          for index in start..<end {
            values[index] |= (T(truncatingIfNeeded: from[index]) &<< shift).littleEndian
          }
        }
        start = end
      }
    }
  }
}

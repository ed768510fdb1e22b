internal import ByteIO
internal import Frames

/// Reads the voxels of an array in the order of frames: X fastest.
///
/// What lies the other way round in the file is turned in pieces of up to 64 MiB. Where the planes
/// along the last axis are larger than that, the file is read once for each; and value by value where
/// the next of a plane is over 4 KiB away, or one step of its slowest axis is larger, too.
public struct VoxelOrder {
  /// The most bytes that are turned at a time.
  package var budget = 64 << 20
  /// Bytes that are read at a time.
  package var readBytes = 4 << 20

  private let array: NpyArray
  /// Voxels along X, Y, Z and so on.
  public let shape: [Int]
  private let isReversed: Bool
  private let voxelBytes: Int

  /// Prepares reading.
  ///
  /// - Parameters:
  ///   - array: the array.
  ///   - isZYX: whether its axes are the other way round, X last.
  public init(_ array: NpyArray, isZYX: Bool) {
    self.array = array
    shape = isZYX ? array.shape.reversed() : array.shape
    // The last of these axes runs fastest in the file.
    isReversed = array.isFortranOrder == isZYX && array.shape.count > 1
    voxelBytes = array.type.size * array.channels
  }

  /// Visits all voxels, little-endian, in pieces of whole voxels.
  ///
  /// - Throws: `FormatError` for a value that the volume's type cannot hold; `IOFailure`; what
  ///   `body` throws.
  public func forEachPiece(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
    let swapSize = array.isBigEndian ? array.type.swapSize : 1
    let conversion = ValueConversion(source: array.type, target: array.dtype)
    let isConverted = array.type != .volume(array.dtype)
    var converted = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    defer { converted.deallocate() }
    var done = 0
    func pass(_ piece: UnsafeMutableRawBufferPointer) throws {
      swapValues(piece, size: swapSize)
      guard isConverted else { return try body(piece) }
      // In parts, since a value may grow.
      let step = readBytes / 8 * array.type.size
      for start in stride(from: 0, to: piece.count, by: step) {
        let part = UnsafeRawBufferPointer(
          rebasing: piece[start..<min(piece.count, start + step)])
        let count = part.count / array.type.size
        if converted.count < count * array.dtype.size {
          converted.deallocate()
          converted = .allocate(byteCount: count * array.dtype.size, alignment: 64)
        }
        let result = UnsafeMutableRawBufferPointer(
          rebasing: converted[..<(count * array.dtype.size)])
        do throws(ValueConversion.Unfit) {
          try conversion.convert(part, into: result)
        } catch {
          throw FormatError(
            array.file.path,
            "its value \(error.value), number \(done + error.index) with the first axis fastest, is "
              + "none of \(array.dtype.rawValue)")
        }
        done += count
        try body(result)
      }
    }
    if isReversed { try turn(pass) } else { try readOn(pass) }
  }

  private func read(_ place: Int, _ target: UnsafeMutableRawBufferPointer) throws {
    let offset = array.dataOffset + UInt64(place)
    guard try array.file.read(at: offset, into: target) == target.count else {
      throw FormatError(array.file.path, at: offset, "it ends before its last value")
    }
  }

  private func readOn(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
    let total = shape.reduce(voxelBytes, *)
    let step = readBytes / voxelBytes * voxelBytes
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(step, total), alignment: 64)
    defer { buffer.deallocate() }
    for place in stride(from: 0, to: total, by: step) {
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(step, total - place)])
      try read(place, piece)
      try body(piece)
    }
  }

  // MARK: The other way round

  private func turn(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) throws {
    let last = shape[shape.count - 1]
    let plane = shape.dropLast().reduce(1, *)
    guard plane * voxelBytes <= budget else {
      if try !turnInSteps(body) { try turnOneByOne(plane, last, body) }
      return
    }
    let thickness = min(last, max(1, budget / (plane * voxelBytes)))
    let slab = UnsafeMutableRawBufferPointer.allocate(
      byteCount: plane * thickness * voxelBytes, alignment: 64)
    defer { slab.deallocate() }
    // Rows along the last axis that are read at once.
    let rows = max(1, min(plane, readBytes / (last * voxelBytes)))
    for first in stride(from: 0, to: last, by: thickness) {
      let count = min(thickness, last - first)
      // One row is read only as far as it is wanted.
      let (from, length) = rows == 1 ? (first, count) : (0, last)
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: rows * length * voxelBytes, alignment: 64)
      defer { buffer.deallocate() }
      var walk = PlaneWalk(Array(shape.dropLast()))
      for row in stride(from: 0, to: plane, by: rows) {
        let taken = min(rows, plane - row)
        let piece = UnsafeMutableRawBufferPointer(
          rebasing: buffer[..<(taken * length * voxelBytes)])
        try read((row * last + from) * voxelBytes, piece)
        for number in 0..<taken {
          let start = (number * length + first - from) * voxelBytes
          pick(
            UnsafeMutableRawBufferPointer(rebasing: piece[start..<start + count * voxelBytes]),
            from: 0, every: 1, count, to: slab, at: walk.place, apart: plane)
          walk.advance()
        }
      }
      try body(UnsafeMutableRawBufferPointer(rebasing: slab[..<(plane * count * voxelBytes)]))
    }
  }

  /// Copies voxels of `source`, from number `first` on every `step`-th, to places of `target` that are
  /// `apart` voxels from each other.
  private func pick(
    _ source: UnsafeMutableRawBufferPointer, from first: Int, every step: Int, _ count: Int,
    to target: UnsafeMutableRawBufferPointer, at place: Int, apart: Int
  ) {
    func move<T>(_ type: T.Type) {
      let (source, target) = (source.bindMemory(to: T.self), target.bindMemory(to: T.self))
      for number in 0..<count { target[place + number * apart] = source[first + number * step] }
    }
    switch voxelBytes {
    case 1: move(UInt8.self)
    case 2: move(UInt16.self)
    case 4: move(UInt32.self)
    case 8: move(UInt64.self)
    default:
      for number in 0..<count {
        let (from, to) = (
          (first + number * step) * voxelBytes, (place + number * apart) * voxelBytes
        )
        target[to..<to + voxelBytes].copyBytes(from: source[from..<from + voxelBytes])
      }
    }
  }

  /// Turns planes that are larger than memory: of each, steps of its slowest axis that fit, for which
  /// the values of the neighbouring planes are read, too, and passed over.
  private func turnInSteps(
    _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws -> Bool {
    let (last, slowest) = (shape[shape.count - 1], shape[shape.count - 2])
    let others = shape.dropLast(2).reduce(1, *)
    // Where values are further apart than a page, each is a read of its own anyway.
    guard others * voxelBytes <= budget, last * voxelBytes <= 4096 else {
      return false
    }
    let step = max(
      1, min(slowest, budget / (others * voxelBytes), readBytes / (last * voxelBytes)))
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: (step * last + others * step) * voxelBytes, alignment: 64)
    defer { buffer.deallocate() }
    let source = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(step * last * voxelBytes)])
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[source.count...])
    for number in 0..<last {
      for first in stride(from: 0, to: slowest, by: step) {
        let count = min(step, slowest - first)
        var walk = PlaneWalk(Array(shape.dropLast(2)))
        let part = UnsafeMutableRawBufferPointer(rebasing: source[..<(count * last * voxelBytes)])
        for row in 0..<others {
          try read((row * slowest + first) * last * voxelBytes, part)
          pick(part, from: number, every: last, count, to: target, at: walk.place, apart: others)
          walk.advance()
        }
        try body(UnsafeMutableRawBufferPointer(rebasing: target[..<(others * count * voxelBytes)]))
      }
    }
    return true
  }

  private func turnOneByOne(
    _ plane: Int, _ last: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    let room = readBytes / voxelBytes
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: room * voxelBytes, alignment: 64)
    defer { buffer.deallocate() }
    var strides = [Int](repeating: last, count: shape.count - 1)
    for axis in strides.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    for number in 0..<last {
      for first in stride(from: 0, to: plane, by: room) {
        let count = min(room, plane - first)
        for index in 0..<count {
          var rest = first + index
          var place = number
          for axis in strides.indices {
            place += rest % shape[axis] * strides[axis]
            rest /= shape[axis]
          }
          let target = buffer[(index * voxelBytes)..<((index + 1) * voxelBytes)]
          try read(place * voxelBytes, UnsafeMutableRawBufferPointer(rebasing: target))
        }
        try body(UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * voxelBytes)]))
      }
    }
  }
}

/// Walks over a plane with its last axis fastest, and knows the place with its first axis fastest.
private struct PlaneWalk {
  private let shape: [Int]
  private let strides: [Int]
  private var index: [Int]
  private(set) var place = 0

  init(_ shape: [Int]) {
    self.shape = shape
    var strides = [1]
    for extent in shape.dropLast() { strides.append(strides[strides.count - 1] * extent) }
    self.strides = strides
    index = [Int](repeating: 0, count: shape.count)
  }

  mutating func advance() {
    for axis in shape.indices.reversed() {
      index[axis] += 1
      place += strides[axis]
      if index[axis] < shape[axis] { return }
      place -= shape[axis] * strides[axis]
      index[axis] = 0
    }
  }
}

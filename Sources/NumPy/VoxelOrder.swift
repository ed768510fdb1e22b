internal import ByteIO
internal import Frames

/// Reads the voxels of an array in the order of frames: X fastest.
///
/// What lies the other way round in the file is turned in pieces of up to 64 MiB; where the planes
/// along the last axis are larger than that, value by value.
public struct VoxelOrder {
  /// The most bytes in memory.
  private static let budget = 64 << 20
  /// Bytes that are read at a time.
  private static let readBytes = 4 << 20

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
      let step = Self.readBytes / 8 * array.type.size
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
    let step = Self.readBytes / voxelBytes * voxelBytes
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
    guard plane * voxelBytes <= Self.budget else { return try turnOneByOne(plane, last, body) }
    let thickness = min(last, max(1, Self.budget / (plane * voxelBytes)))
    let slab = UnsafeMutableRawBufferPointer.allocate(
      byteCount: plane * thickness * voxelBytes, alignment: 64)
    defer { slab.deallocate() }
    // Rows along the last axis that are read at once.
    let rows = max(1, min(plane, Self.readBytes / (last * voxelBytes)))
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
          scatter(
            UnsafeRawBufferPointer(rebasing: piece[start..<start + count * voxelBytes]),
            to: slab, at: walk.place, apart: plane)
          walk.advance()
        }
      }
      try body(UnsafeMutableRawBufferPointer(rebasing: slab[..<(plane * count * voxelBytes)]))
    }
  }

  /// Writes the values of a row to places that are `apart` voxels from each other.
  private func scatter(
    _ row: UnsafeRawBufferPointer, to slab: UnsafeMutableRawBufferPointer, at place: Int, apart: Int
  ) {
    func move<T>(_ type: T.Type) {
      let source = row.bindMemory(to: T.self)
      let target = slab.bindMemory(to: T.self)
      for (number, value) in source.enumerated() { target[place + number * apart] = value }
    }
    switch voxelBytes {
    case 1: move(UInt8.self)
    case 2: move(UInt16.self)
    case 4: move(UInt32.self)
    case 8: move(UInt64.self)
    default:
      for number in 0..<row.count / voxelBytes {
        let to = (place + number * apart) * voxelBytes
        slab[to..<to + voxelBytes].copyBytes(
          from: row[(number * voxelBytes)..<((number + 1) * voxelBytes)])
      }
    }
  }

  private func turnOneByOne(
    _ plane: Int, _ last: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    let room = Self.readBytes / voxelBytes
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

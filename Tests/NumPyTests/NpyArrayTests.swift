import ByteIO
import Foundation
import NumPy
import Testing
import Frames

@Suite struct NpyArrayTests {
  /// An array file with this header and these values.
  private func array(
    _ header: String, _ values: [UInt8], version: UInt8 = 1, as type: DataType? = nil
  ) throws -> NpyArray {
    let length = header.utf8.count
    var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [version, 0]
    bytes += [UInt8(length & 0xFF), UInt8(length >> 8)] + (version > 1 ? [0, 0] : [])
    bytes += Array(header.utf8) + values
    let path = NSTemporaryDirectory() + "/volpipe-\(randomIdentifier()).npy"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try NpyArray(try InputFile(path), name: "x.npy", as: type)
  }

  private func voxels(_ array: NpyArray, isZYX: Bool = false) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try VoxelOrder(array, isZYX: isZYX).forEachPiece { bytes += $0 }
    return bytes
  }

  private func header(_ descr: String, _ shape: String, fortran: String = "False") -> String {
    "{'descr': \(descr), 'fortran_order': \(fortran), 'shape': \(shape), }\n"
  }

  /// Where in the file, whose last axis is fastest, a voxel is that has this number with the first
  /// axis fastest.
  private func placeInFile(of number: Int, _ shape: [Int]) -> Int {
    var (rest, place) = (number, 0)
    for extent in shape {
      place = place * extent + rest % extent
      rest /= extent
    }
    return place
  }

  @Test(arguments: [UInt8(1), 2, 3]) func voxelsComeXFirstWhateverTheOrder(version: UInt8) throws {
    let values: [UInt8] = [1, 2, 3, 4, 5, 6]
    let c = try array(header("'|u1'", "(2, 3)"), values, version: version)
    #expect(c.shape == [2, 3] && c.dtype == .uint8)
    #expect(try voxels(c) == [1, 4, 2, 5, 3, 6])
    #expect(try voxels(c, isZYX: true) == values)
    let fortran = try array(header("'|u1'", "(2, 3)", fortran: "True"), values, version: version)
    #expect(try voxels(fortran) == values)
    #expect(try voxels(fortran, isZYX: true) == [1, 3, 5, 2, 4, 6])
  }

  @Test func whatIsBigEndianIsTurned() throws {
    let array = try array(header("'>i2'", "(2,)"), [1, 2, 3, 4])
    #expect(array.isBigEndian && array.dtype == .int16)
    #expect(try voxels(array) == [2, 1, 4, 3])
  }

  @Test func halvesBecomeFloats() throws {
    // 1.0, -2.0 and the least number above 0, 2^-24.
    let array = try array(header("'<f2'", "(3,)"), [0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00])
    #expect(array.dtype == .float32)
    let wanted: [Float] = [1, -2, 0x1p-24]
    #expect(try voxels(array) == wanted.withUnsafeBytes { Array($0) })
  }

  /// Every way to turn, by how little fits at a time: pieces of whole planes, one row in parts,
  /// steps of a plane's slowest axis, and voxels one by one.
  @Test(arguments: [1 << 20, 96, 40, 12, 4], [1 << 20, 64, 24, 4])
  func voxelsAreTurnedInPieces(budget: Int, readBytes: Int) throws {
    for shape in [
      [5, 7], [40, 2], [2, 40], [3, 4, 5], [20, 3, 2], [2, 3, 2100], [3, 2, 4, 2],
    ] {
      let count = shape.reduce(1, *)
      let values = (0..<count).map { UInt16(truncatingIfNeeded: $0 &* 40503) }
      let array = try array(
        header("'<u2'", "(\(shape.map(String.init).joined(separator: ", ")))"),
        values.withUnsafeBytes { Array($0) })
      var order = VoxelOrder(array, isZYX: false)
      (order.budget, order.readBytes) = (budget, readBytes)
      var turned: [UInt16] = []
      try order.forEachPiece { turned += $0.bindMemory(to: UInt16.self) }
      let wanted = (0..<count).map { values[placeInFile(of: $0, shape)] }
      #expect(turned == wanted, "\(shape)")
    }
  }

  /// One axis more than a plane and its rows, and voxels of three bytes, which are moved one by one.
  @Test func coloursOfFourAxesAreTurned() throws {
    let shape = [2, 3, 4, 2]
    let voxels = shape.reduce(1, *)
    let values = (0..<3 * voxels).map { UInt8($0) }
    let array = try array(
      header("[('R', '|u1'), ('G', '|u1'), ('B', '|u1')]", "(2, 3, 4, 2)"), values)
    #expect(array.channels == 3)
    var wanted: [UInt8] = []
    for number in 0..<voxels {
      let place = placeInFile(of: number, shape)
      wanted += values[3 * place..<3 * place + 3]
    }
    #expect(try self.voxels(array) == wanted)
    #expect(try self.voxels(array, isZYX: true) == values)
  }

  @Test(
    arguments: [
      ("'<f8'", .float32, [0x1p-140, .infinity, -.infinity, 0.1], true),
      ("'<f8'", .float32, [1, 1e300], false), ("'<f8'", .uint8, [0, 255], true),
      ("'<f8'", .uint8, [0, 256], false), ("'<f8'", .uint8, [0.5], false),
      ("'<f8'", .int16, [-32_768, 32_767], true), ("'<f8'", .int16, [-32_769], false),
      ("'<f8'", .int64, [.nan], false), ("'<f8'", .uint64, [0x1p64], false),
      ("'<f8'", .uint64, [0x1p63], true),
    ] as [(String, DataType, [Double], Bool)])
  func numbersFitOrAreRefused(
    descr: String, type: DataType, values: [Double], fit: Bool
  ) throws {
    let bytes = values.withUnsafeBytes { Array($0) }
    let array = try array(header(descr, "(\(values.count),)"), bytes, as: type)
    if fit {
      #expect(try voxels(array).count == values.count * type.size)
    } else {
      #expect(throws: FormatError.self) { try voxels(array) }
    }
  }

  @Test func aValueThatATypeCannotHoldIsNamed() throws {
    let array = try array(header("'|i1'", "(3,)"), [1, 0xFF, 3], as: .uint8)
    let error = #expect(throws: FormatError.self) { try voxels(array) }
    #expect(error?.reason.contains("-1, number 1 ") == true)
  }

  @Test(arguments: [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", "damaged"),
    ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", "damaged"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (1,), }", "damaged"),
    ("{'descr': '<U4', 'fortran_order': False, 'shape': (2,), }", "type"),
    ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "type"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "0 axes"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", "holds 0"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 9), }", "2^53"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "ends before"),
  ]) func headersThatCannotBeAreRefused(text: String, reason: String) throws {
    let error = #expect(throws: FormatError.self) { try array(text, [0, 0, 0, 0, 0, 0, 0, 0]) }
    #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
  }

  @Test func aHeaderIsAMultipleOf64BytesAndReadAgain() throws {
    var volume = VolumeHeader(name: "x", shape: [5, 4, 3], dtype: .int16)
    let bytes = NpyHeader.make(volume)
    #expect(bytes.count % 64 == 0)
    volume.channels = 3
    #expect(NpyHeader.make(volume).count % 64 == 0)
    let text = String(decoding: bytes[10...], as: UTF8.self)
    let array = try array(text, [UInt8](repeating: 0, count: 120))
    #expect(array.shape == [5, 4, 3] && array.isFortranOrder && array.dtype == .int16)
  }
}

import ByteIO
import Foundation
import Frames
import NumPy
import Testing

/// What a header says in Python's words is anything that somebody wrote.
@Suite struct HostileHeaderTests {
  private let good = Array("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }".utf8)

  private func open(_ bytes: [UInt8]) throws -> NpyArray {
    let path = NSTemporaryDirectory() + "/volpipe-\(randomIdentifier()).npy"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try NpyArray(try InputFile(path), name: "x.npy")
  }

  /// A file with this header, and values enough for the good one.
  private func file(_ header: [UInt8]) -> [UInt8] {
    let length = header.count
    return [0x93] + Array("NUMPY".utf8) + [2, 0]
      + (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header
      + [UInt8](repeating: 7, count: 12)
  }

  @Test func everyHeaderThatIsCutOffIsRefused() throws {
    #expect(try open(file(good)).shape == [2, 3])
    for count in good.indices {
      #expect(throws: FormatError.self, "\(count) bytes") { try open(file(Array(good[..<count]))) }
    }
    let whole = file(good)
    for count in 0..<whole.count {
      #expect(throws: FormatError.self, "\(count) bytes") { try open(Array(whole[..<count])) }
    }
  }

  /// Whatever is taken holds only what is in the file.
  @Test func aChangedByteIsRefusedOrMeansNoMoreThanThereIs() throws {
    let whole = file(good)
    for place in whole.indices {
      for value: UInt8 in [0, 0x20, 0x22, 0x27, 0x28, 0x2C, 0x31, 0x39, 0x5C, 0x7B, 0x7D, 0xFF] {
        var changed = whole
        changed[place] = value
        guard let array = try? open(changed) else { continue }
        var bytes = 0
        try VoxelOrder(array, isZYX: false).forEachPiece { bytes += $0.count }
        #expect(bytes == array.shape.reduce(array.dtype.size * array.channels, *) && bytes <= 12)
      }
    }
  }

  @Test(arguments: [
    "", " ", "{", "{}", "()", "None", "{'descr'}", "{'descr': }", "{,}", "[1,,2]",
    "{1: 2}", "{'a': 1 'b': 2}", "{'a': 1,, }", "{'a': -1}", "{'a': 1.5}", "{'a': 1e3}",
    "{'a': __import__('os')}", "{'a': 'b\\'c'}", "{'a': \"b'}", "{'a': u'b'}", "{'a': 'b' 'c'}",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), } {}",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\0",
    "{'descr': '<i2', 'fortran_order': False, 'shape': 6, }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (2, -3), }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (2, '3'), }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (2, True), }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (9223372036854775808,), }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    "{'descr': '<i2', 'fortran_order': 'False', 'shape': (2, 3), }",
    "{'descr': ['<i2'], 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': [('R', '|u1'), ('G', '|u1')], 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': [('R',), ('G', '|u1'), ('B', '|u1')], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<i2', 'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }",
    "{'fortran_order': False, 'shape': (2, 3), }",
  ]) func whatIsNoHeaderIsRefused(text: String) {
    #expect(throws: FormatError.self) { try open(file(Array(text.utf8))) }
  }

  @Test func whatIsNoTextIsRefused() {
    let key = good.split(separator: UInt8(ascii: "<"), maxSplits: 1)
    #expect(throws: FormatError.self) { try open(file(key[0] + [0xC3, 0x28] + key[1])) }
  }

  /// A parser that calls itself for each bracket would end the process.
  @Test(arguments: ["(", "[", "{'a':", "{'a': ("]) func nestingEndsSomewhere(open bracket: String) {
    let header = String(repeating: bracket, count: 200_000)
    #expect(throws: FormatError.self) { try open(file(Array(header.utf8.prefix(1 << 20)))) }
  }

  @Test func aLengthBeyondTheMaximumIsNotAskedOfMemory() {
    let bytes = [0x93] + Array("NUMPY".utf8) + [3, 0, 0xFF, 0xFF, 0xFF, 0xFF] + good
    let error = #expect(throws: FormatError.self) { try open(bytes) }
    #expect(error?.reason.contains("1 MiB") == true)
  }

  @Test func whatPythonMayWriteElseIsRead() throws {
    for text in [
      "{\"shape\":(2L,3L),\"descr\":\"=i2\",\"fortran_order\":True}",
      "\t{ 'fortran_order' : True , 'shape' : [ 2 , 3 ] , 'descr' : '<i2' }\r\n ",
    ] {
      let array = try open(file(Array(text.utf8)))
      #expect(array.shape == [2, 3] && array.dtype == .int16 && array.isFortranOrder)
    }
  }

  @Test(arguments: DataType.allCases) func theHeaderOfEveryTypeIsReadAgain(type: DataType) throws {
    for shape in [[1], [123_456], [1, 2, 3, 1, 2, 3, 1], [7, 1, 9]] {
      let header = NpyHeader.make(VolumeHeader(name: "x", shape: shape, dtype: type))
      #expect(header.count % 64 == 0 && header.last == 0x0A)
      let values = [UInt8](repeating: 0, count: shape.reduce(type.size, *))
      let array = try open(header + values)
      #expect(array.shape == shape && array.dtype == type && array.channels == 1)
      #expect(!array.isBigEndian && array.isFortranOrder)
    }
  }
}

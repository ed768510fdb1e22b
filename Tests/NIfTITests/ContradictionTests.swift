import NIfTI
import Testing
import Frames

/// The header of a file whose sform and qform are apart, as NIfTI allows: 2 mm and 3 mm steps.
private func file(units: UInt8 = 2) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 348)
  func put<T>(_ value: T, _ offset: Int) {
    withUnsafeBytes(of: value) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
  put(Int32(348).littleEndian, 0)
  for (index, extent) in [3, 8, 9, 10].enumerated() {
    put(Int16(extent).littleEndian, 40 + 2 * index)
  }
  put(Int16(4).littleEndian, 70)
  put(Int16(16).littleEndian, 72)
  for index in 0..<4 { put(Float(index == 0 ? 1 : 3).bitPattern.littleEndian, 76 + 4 * index) }
  put(Float(352).bitPattern.littleEndian, 108)
  bytes[123] = units
  put(Int16(1).littleEndian, 252)
  put(Int16(2).littleEndian, 254)
  for index in 0..<3 {
    put(Float(-10).bitPattern.littleEndian, 268 + 4 * index)
    put(Float(2).bitPattern.littleEndian, 280 + 20 * index)
    put(Float(5).bitPattern.littleEndian, 292 + 16 * index)
  }
  bytes.replaceSubrange(344..<348, with: Array("n+1".utf8) + [0])
  return bytes
}

private func steps(_ x: Double, _ y: Double, _ z: Double, at offset: Double = 0) -> [[Double]] {
  [[x, 0, 0, offset], [0, y, 0, offset], [0, 0, z, offset], [0, 0, 0, 1]]
}

private typealias Change = @Sendable (inout VolumeHeader) -> Void

/// A change to a header that agrees with itself, and a key that the answer names; nil if it is to
/// be accepted.
private struct Case: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var key: String?
  var change: Change

  init(_ name: String, _ key: String? = nil, _ change: @escaping Change) {
    (testDescription, self.key, self.change) = (name, key, change)
  }
}

@Suite struct ContradictionTests {
  private func bare() -> VolumeHeader {
    var header = VolumeHeader(name: "v", shape: [8, 9, 10], dtype: .int16)
    header.affine = steps(2, 3, 4, at: 7)
    header.voxelSpacing = [2, 3, 4]
    return header
  }

  /// What nifti-cat says of the file.
  private func sourced() -> VolumeHeader {
    var header = VolumeHeader(name: "v", shape: [8, 9, 10], dtype: .int16)
    (header.affine, header.affineSource) = (steps(2, 2, 2, at: 5), "sform")
    (header.sform, header.sformCode) = (steps(2, 2, 2, at: 5), 2)
    (header.qform, header.qformCode) = (steps(3, 3, 3, at: -10), 1)
    header.voxelSpacing = [3, 3, 3]
    header.units = .init(space: "mm", time: nil, code: 2)
    header.source = .init(
      format: "nifti1", path: nil, byteOrder: "little", layout: "single", compression: nil,
      header: file(), headerBytes: nil)
    return header
  }

  private func derived() -> VolumeHeader {
    var header = sourced()
    header.source?.template = Base64(file())
    header.source?.header = nil
    return header
  }

  private func check(_ header: VolumeHeader, _ test: Case) {
    var header = header
    test.change(&header)
    let answer = header.contradiction()
    if let key = test.key {
      #expect(answer?.contains("'\(key)'") == true, "\(answer ?? "accepted")")
    } else {
      #expect(answer == nil)
    }
  }

  @Test(arguments: [
    Case("as it is") { _ in },
    Case("no geometry") { ($0.affine, $0.voxelSpacing) = (nil, nil) },
    Case("3x4", "affine") { $0.affine?.removeLast() },
    Case("not finite", "affine") { $0.affine?[0][3] = .nan },
    Case("last row", "affine") { $0.affine?[3] = [0, 0, 1, 1] },
    Case("rows of three", "sform") { $0.sform = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]] },
    Case("not finite", "qform") {
      $0.qform = steps(.infinity, 1, 1)
    },
    Case("two lengths", "voxel_spacing") { $0.voxelSpacing = [2, 3] },
    Case("negative", "voxel_spacing") { $0.voxelSpacing = [2, -3, 4] },
    Case("other spacing", "voxel_spacing") { $0.voxelSpacing = [2, 3, 5] },
    Case("within tolerance") { $0.voxelSpacing = [2, 3, 4.0039] },
    Case("an axis that is not there") { ($0.shape, $0.voxelSpacing) = ([8, 9], [2, 3, 1]) },
    Case("same sform") { $0.sform = steps(2, 3, 4, at: 7) },
    Case("other sform", "sform") { $0.sform = steps(2, 3, 4, at: 8) },
    Case("sform in metres") {
      ($0.sform, $0.units) = (
        steps(0.002, 0.003, 0.004, at: 0.007), .init(space: "m", time: nil, code: nil)
      )
    },
    Case("sform in other metres", "sform") {
      ($0.sform, $0.units) = (steps(2, 3, 4, at: 7), .init(space: "m", time: nil, code: nil))
    },
    Case("sform within tolerance") { $0.sform = steps(2, 3, 4, at: 7.0039) },
    Case("far away, within tolerance") {
      ($0.affine, $0.sform) = (steps(2, 3, 4, at: 900_000), steps(2, 3, 4, at: 900_008))
    },
    Case("taken from no sform", "affine_source") { $0.affineSource = "sform" },
    Case("taken from another qform", "qform") {
      ($0.affineSource, $0.qform) = ("qform", steps(2, 3, 4, at: 8))
    },
    Case("a qform that is elsewhere, beside the sform that counts") {
      ($0.affineSource, $0.sform, $0.qform) = ("sform", $0.affine, steps(2, 4, 3, at: 99))
      $0.voxelSpacing = nil
    },
    Case("a qform of other spacing", "qform") {
      ($0.affineSource, $0.sform, $0.qform) = ("sform", $0.affine, steps(2, 4, 3, at: 99))
    },
    Case("from spacing alone") { ($0.affineSource, $0.affine) = ("pixdim", steps(-2, 3, 4)) },
  ]) private func withoutAHeaderTheKeysAgreeWithEachOther(test: Case) { check(bare(), test) }

  @Test(arguments: [
    Case("as it is") { _ in },
    Case("another name") { ($0.name, $0.attributes) = ("w", ["a": .integer(1)]) },
    Case("shape", "shape") { $0.shape = [8, 9, 9] },
    Case("dtype", "dtype") { $0.dtype = .uint16 },
    Case("channels", "channels") { $0.channels = 3 },
    Case("slope", "slope") { $0.slope = 2 },
    Case("intercept", "intercept") { $0.intercept = 2 },
    Case("affine", "affine") { $0.affine?[0][3] += 1e-6 },
    Case("affine_source", "affine_source") { $0.affineSource = "qform" },
    Case("qform", "qform") { $0.qform = nil },
    Case("qform_code", "qform_code") { $0.qformCode = 2 },
    Case("sform", "sform") { $0.sform?[2][2] = 4 },
    Case("sform_code", "sform_code") { $0.sformCode = 1 },
    Case("voxel_spacing", "voxel_spacing") { $0.voxelSpacing = [3, 3, 4] },
    Case("repetition_time", "repetition_time") { $0.repetitionTime = 2 },
    Case("units", "units") { $0.units = nil },
    Case("intent", "intent") { $0.intent = .init(code: 5, parameters: [1, 2, 3], name: "") },
    Case("description", "description") { $0.sourceDescription = "other" },
    Case("byte order", "source.byte_order") { $0.source?.byteOrder = "big" },
    Case("layout", "source.layout") { $0.source?.layout = "pair" },
    Case("cut off", "source.header") { $0.source?.header = Base64(Array(file().dropLast())) },
  ]) private func withItsSourceAVolumeSaysWhatThatSays(test: Case) { check(sourced(), test) }

  @Test(arguments: [
    Case("as it is") { _ in },
    Case("a region") {
      $0.shape = [4, 4, 4]
      for row in 0..<3 {
        $0.affine?[row][3] += 6
        $0.sform?[row][3] += 6
        $0.qform?[row][3] += 9
      }
    },
    Case("an axis turned round, and every second voxel of another") {
      ($0.affine, $0.sform) = (
        [[-2, 0, 0, 19], [0, 4, 0, 5], [0, 0, 2, 5], [0, 0, 0, 1]],
        [[-2, 0, 0, 19], [0, 4, 0, 5], [0, 0, 2, 5], [0, 0, 0, 1]]
      )
      $0.qform = [[-3, 0, 0, 11], [0, 6, 0, -10], [0, 0, 3, -10], [0, 0, 0, 1]]
      $0.voxelSpacing = [3, 6, 3]
    },
    Case("another type") { ($0.dtype, $0.slope) = (.float32, 2) },
    Case("without forms") {
      ($0.affine, $0.affineSource) = (steps(4, 4, 4, at: 5), nil)
      ($0.sform, $0.qform, $0.voxelSpacing) = (nil, nil, [6, 6, 6])
    },
    Case("a forgotten sform", "sform") { $0.affine?[0][3] += 6 },
    Case("a forgotten qform", "qform") {
      $0.affine?[0][3] += 6
      $0.sform?[0][3] += 6
    },
    Case("a forgotten spacing", "voxel_spacing") {
      ($0.affine, $0.sform) = (steps(4, 4, 4, at: 5), steps(4, 4, 4, at: 5))
      $0.qform = steps(6, 6, 6, at: -10)
    },
    Case("no sform that the affine is taken from", "affine_source") { $0.sform = nil },
    Case("another unit", "units") { $0.units?.space = "m" },
    Case("cut off", "source.template") {
      $0.source?.template = Base64(Array(file().dropLast()))
    },
  ]) private func withATemplateEverythingMovesAlike(test: Case) { check(derived(), test) }

  /// An sform so far away does not show where a region began, which the qform does.
  @Test func whereNumbersAreTooLargeToTellARegionIsAccepted() {
    var (header, bytes, far) = (derived(), file(), Float(1e20))
    for row in 0..<3 {
      withUnsafeBytes(of: &far) { bytes.replaceSubrange(292 + 16 * row..<296 + 16 * row, with: $0) }
      header.affine?[row][3] = Double(far)
      header.qform?[row][3] += 9
    }
    header.sform = header.affine
    header.source?.template = Base64(bytes)
    #expect(header.contradiction() == nil)
    header.sform?[0][0] = 3
    #expect(header.contradiction()?.contains("'sform'") == true)
  }
}

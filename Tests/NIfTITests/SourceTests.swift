import ByteIO
import Foundation
import NIfTI
import SystemPackage
import Testing
import Frames

@Suite struct SourceTests {
  private func folder(_ names: [String]) throws -> String {
    // FilePath has no double slashes, and the tests cut off what they gave.
    let path = FilePath(NSTemporaryDirectory()).appending("volpipe-\(randomIdentifier())").string
    for name in names {
      let file = URL(fileURLWithPath: "\(path)/\(name)")
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data().write(to: file)
    }
    return path
  }

  private func names(_ path: String) throws -> [String] {
    let list = SourceList([FilePath(path)], list: nil)
    var names: [String] = []
    while let source = try list.next() {
      names.append(String(source.files.header.string.dropFirst(path.count + 1)))
    }
    return names
  }

  @Test func aWalkIsSortedByBytesAndTakesAPairOnce() throws {
    let path = try folder([
      "b.nii", "a/z.nii.gz", "B.NII", "a/.hidden.nii", ".git/x.nii", "c.img", "c.hdr", "ä.nii",
      "notes.txt", "d.hdr.gz", "d.img.gz", "a-b.nii",
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(
      try names(path)
        == ["B.NII", "a/z.nii.gz", "a-b.nii", "b.nii", "c.hdr", "d.hdr.gz", "ä.nii"])
  }

  @Test func linksInACircleEnd() throws {
    let path = try folder(["a/x.nii"])
    defer { try? FileManager.default.removeItem(atPath: path) }
    try FileManager.default.createSymbolicLink(
      atPath: "\(path)/a/loop", withDestinationPath: path)
    #expect(try names(path) == ["a/x.nii"])
  }

  @Test(arguments: [
    ("x/sub-1_T1w.nii.gz", "sub-1_T1w"), ("a.nii", "a"), ("a.b.nii", "a.b"), ("A.NII.GZ", "A"),
    ("-", "stdin"), ("noext", "noext"), (".nii", ".nii"),
  ]) func namesAreWithoutFolderAndSuffix(path: String, name: String) throws {
    #expect(try SourcePath(FilePath(path)).name == name)
  }

  @Test func sourcesKeepTheirOrderHoweverManyAreReadAtOnce() throws {
    let path = try folder([])
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    for number in 100..<160 {
      var bytes = [UInt8](repeating: 0, count: 352)
      for (offset, value) in [(0, 348), (40, 1), (42, number * 20), (70, 2), (72, 8)] {
        bytes[offset] = UInt8(value & 0xFF)
        bytes[offset + 1] = UInt8(value >> 8)
      }
      bytes[110] = 0xB0  // vox_offset 352
      bytes[111] = 0x43
      for offset in [79, 83, 87, 91] { bytes[offset] = 0x3F }  // pixdim
      for offset in [78, 82, 86, 90] { bytes[offset] = 0x80 }
      bytes.replaceSubrange(344..<348, with: Array("n+1\0".utf8))
      bytes += [UInt8](repeating: UInt8(number), count: number * 20 - (number == 130 ? 1 : 0))
      try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/v\(number).nii"))
    }
    for jobs in [1, 3, 16] {
      let list = SourceList([FilePath(path)], list: nil)
      let ahead = try ReadAhead(jobs: jobs) { try list.next() }
      var seen: [Int] = []
      var failures: [String] = []
      while let event = ahead.next() {
        switch event {
        case .data(let block):
          seen.append(Int(block.bytes[0]))
          ahead.recycle(block)
        case .failure(let error, _): failures.append("\(error)")
        default: break
        }
      }
      #expect(seen == (100..<160).filter { $0 != 130 })
      #expect(failures.count == 1 && failures[0].contains("v130.nii"))
    }
  }
}

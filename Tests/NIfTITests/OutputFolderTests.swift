import ByteIO
import Foundation
import NIfTI
import Testing
import Frames

@Suite struct OutputFolderTests {
  private let folder: String

  init() throws {
    folder = "\(NSTemporaryDirectory())volpipe-\(randomIdentifier())"
    try Publishing.makeDirectories(folder)
  }

  private func writer(replaces: Bool) -> NIfTIWriter {
    NIfTIWriter(.init(folder: folder, name: { $0.name ?? "" }, gzip: nil, replaces: replaces))
  }

  private func write(_ name: String, _ value: UInt8, to writer: NIfTIWriter) throws {
    let header = VolumeHeader(name: ExactString(name), shape: [1], dtype: .uint8)
    var voxel = [value]
    do {
      try writer.open(header)
      try voxel.withUnsafeMutableBytes { try writer.data($0) }
      try writer.close()
    } catch {
      writer.drop()
      throw error
    }
  }

  private func lastByte(_ name: String) throws -> UInt8? {
    try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")).last
  }

  private func message(_ body: () throws -> Void) throws -> String {
    try #require(throws: NIfTIWriter.Exists.self, performing: body).description
  }

  /// As on a file system that takes `abc` for `ABC`, where each name leads to the one file.
  @Test(arguments: [false, true])
  func aFileOfThisRunIsNotReplacedUnderAnotherName(replaces: Bool) throws {
    defer { try? Publishing.removeTree(folder) }
    let writer = writer(replaces: replaces)
    try write("ABC", 1, to: writer)
    try FileManager.default.linkItem(atPath: "\(folder)/ABC.nii", toPath: "\(folder)/abc.nii")
    let message = try message { try write("abc", 2, to: writer) }
    #expect(message.contains("'\(folder)/abc.nii'") && message.contains("'\(folder)/ABC.nii'"))
    #expect(try lastByte("ABC.nii") == 1)
    #expect(try directoryEntries(folder).count == 2)
  }

  @Test func aNameThatIsTakenWhileItsVoxelsComeIsNotReplaced() throws {
    defer { try? Publishing.removeTree(folder) }
    let writer = writer(replaces: true)
    try write("ABC", 1, to: writer)
    try writer.open(VolumeHeader(name: "abc", shape: [1], dtype: .uint8))
    var voxel: [UInt8] = [2]
    try voxel.withUnsafeMutableBytes { try writer.data($0) }
    try FileManager.default.linkItem(atPath: "\(folder)/ABC.nii", toPath: "\(folder)/abc.nii")
    #expect(try message { try writer.close() }.contains("ABC.nii"))
    #expect(try lastByte("ABC.nii") == 1)
    #expect(try directoryEntries(folder).count == 2)
  }

  @Test func aFileOfAnEarlierRunIsReplacedWhenThatIsWanted() throws {
    defer { try? Publishing.removeTree(folder) }
    try write("a", 1, to: writer(replaces: false))
    #expect(try message { try write("a", 2, to: writer(replaces: false)) }.contains("it exists"))
    try write("a", 2, to: writer(replaces: true))
    #expect(try lastByte("a.nii") == 2)
  }

  @Test(arguments: [false, true], ["a/b", "a/../b", "b", "a/c/b"])
  func linksBelowTheFolderAreNotFollowed(replaces: Bool, name: String) throws {
    let elsewhere = "\(folder)-elsewhere"
    try Publishing.makeDirectories("\(elsewhere)/c")
    defer {
      try? Publishing.removeTree(folder)
      try? Publishing.removeTree(elsewhere)
    }
    let manager = FileManager.default
    try manager.createSymbolicLink(atPath: "\(folder)/a", withDestinationPath: elsewhere)
    try manager.createSymbolicLink(
      atPath: "\(folder)/b.nii", withDestinationPath: "\(elsewhere)/b.nii")
    let message = try message { try write(name, 1, to: writer(replaces: replaces)) }
    #expect(message.contains("it is a symbolic link"))
    #expect(try directoryEntries(elsewhere) == ["c"])
    #expect(try directoryEntries("\(elsewhere)/c").isEmpty)
    #expect(try directoryEntries(folder) == ["a", "b.nii"])
  }

  @Test func theFolderItselfMayBeALink() throws {
    let link = "\(folder)-link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: folder)
    defer {
      try? Publishing.remove(link)
      try? Publishing.removeTree(folder)
    }
    let naming: NIfTIWriter.Naming = { _ in "sub/a" }
    try write(
      "x", 1, to: NIfTIWriter(.init(folder: link, name: naming, gzip: nil, replaces: false)))
    #expect(try lastByte("sub/a.nii") == 1)
  }
}

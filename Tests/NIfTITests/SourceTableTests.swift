import ByteIO
import Foundation
import Frames
import NIfTI
import SystemPackage
import Testing

@Suite struct SourceTableTests {
  private let folder: FilePath

  init() throws {
    folder = FilePath(NSTemporaryDirectory()).appending("volpipe-\(randomIdentifier())")
    try Publishing.makeDirectories(folder.appending("sub").string)
    for name in ["a.nii", "b.nii", "sub/c.nii"] { try write([], name) }
  }

  private func write(_ bytes: [UInt8], _ name: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: folder.pushing(FilePath(name)).string))
  }

  private func table(
    _ bytes: [UInt8], named name: String = "table.csv", pathColumn: ExactString? = nil,
    in base: FilePath? = nil
  ) throws -> SourceTable {
    try write(bytes, name)
    return try SourceTable(
      try InputFile(folder.appending(name)), pathColumn: pathColumn, folder: base)
  }

  /// What comes of each line: a volume, or the reason why there is none.
  private func all(_ table: SourceTable) -> [Result<VolumeSource, any Error>] {
    var table = table
    var results: [Result<VolumeSource, any Error>] = []
    while results.count < 100 {
      do {
        guard let source = try table.next() else { break }
        results.append(.success(source))
      } catch {
        results.append(.failure(error))
      }
    }
    return results
  }

  @Test func aBadLineStopsNoOther() throws {
    defer { try? Publishing.removeTree(folder.string) }
    let lines = [
      "path,obs_id,obs_subject_id,age", "a.nii,1,s,007", ",2,s,1", "-,3,s,1", "sub,4,s,1",
      "a\0b.nii,5,s,1", "b.nii,x/y,s,1", "b.nii,..,s,1", "b.nii,6,\u{1B}[31m,1", "b.nii,7",
      "b.nii,8,,n/a",
    ]
    let results = all(
      try table(Array(lines.joined(separator: "\n").utf8), in: folder))
    #expect(results.count == lines.count - 1)
    let sources = results.compactMap { try? $0.get() }
    #expect(sources.map(\.files.header) == [folder.appending("a.nii"), folder.appending("b.nii")])
    #expect(sources.map(\.obsID) == ["1", "8"] && sources.map(\.obsSubjectID) == ["s", nil])
    #expect(sources[0].attributes["age"] == .string("007") && sources[1].attributes["age"] == nil)
    let reasons = results.compactMap { result -> String? in
      if case .failure(let error) = result { "\(error)" } else { nil }
    }
    let wanted = [
      "line 3 has no path", "line 4 names standard input", "it is a folder", "line 6 has a NUL",
      "line 7 has an obs_id", "line 8 has an obs_id", "line 9 has an obs_subject_id",
      "line 10 has 2 fields",
    ]
    #expect(zip(reasons, wanted).allSatisfy { $0.contains($1) } && reasons.count == wanted.count)
    #expect(reasons.allSatisfy { !$0.contains("\u{1B}") })
  }

  @Test func pathsAreBytesAndAttributesAreText() throws {
    defer { try? Publishing.removeTree(folder.string) }
    let name = folder.appending(
      try #require(FilePath(platformString: [0x62, -1, 0x2E, 0x6E, 0x69, 0x69, 0]).lastComponent))
    try FileDescriptor.open(
      name, .writeOnly, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite
    ).close()
    let bytes =
      Array("path,note\n".utf8) + [0x62, 0xFF, 0x2E, 0x6E, 0x69, 0x69]
      + Array(",x\na.nii,".utf8) + [0xFF] + Array("\n".utf8)
    let results = all(try table(bytes, in: folder))
    #expect(try results[0].get().files.header == name)
    #expect(throws: FormatError.self) { try results[1].get() }
  }

  @Test func scansOfBIDSBeginAtTheirOwnFolder() throws {
    defer { try? Publishing.removeTree(folder.string) }
    let text = Array("filename\tage\nsub/c.nii\t3\n".utf8)
    let results = all(try table(text, named: "sub-1_scans.tsv"))
    #expect(try results.map { try $0.get().files.header } == [folder.pushing("sub/c.nii")])
    #expect(throws: FormatError.self) { try table(text, named: "other.tsv") }
    let named = try table(text, named: "other.tsv", pathColumn: "filename", in: folder)
    #expect(try all(named).map { try $0.get().files.header } == [folder.pushing("sub/c.nii")])
  }
}

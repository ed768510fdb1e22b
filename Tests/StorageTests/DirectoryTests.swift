import ByteIO
import Foundation
import Frames
import Storage
import Testing

/// What a store in a directory must do besides: nothing leads it out.
struct DirectoryTests {
  private func folder() throws -> String {
    let path = NSTemporaryDirectory() + "/volpipe-" + randomIdentifier()
    try FileManager.default.createDirectory(
      atPath: path + "/ds/f", withIntermediateDirectories: true)
    try FileManager.default.createDirectory(
      atPath: path + "/other", withIntermediateDirectories: true)
    return path
  }

  private func open(_ path: String) throws -> DirectoryStore {
    try DirectoryStore(path + "/ds", folders: ["f"], files: ["HEAD"])
  }

  @Test func linksAreRefusedWhereverTheyAre() throws {
    let path = try folder()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Publishing.write([1], to: path + "/other/a")
    let store = try open(path)
    let files = FileManager.default
    try files.createSymbolicLink(atPath: path + "/ds/f/a", withDestinationPath: "../../other/a")
    try files.createSymbolicLink(atPath: path + "/ds/g", withDestinationPath: "../other")
    let inside = try #require(ObjectName("f", "a"))
    let below = try #require(ObjectName("g", "a"))
    for name in [inside, below] {
      #expect(throws: FormatError.self) { try store.read(name, maximum: 10) }
      #expect(throws: FormatError.self) { try store.open(name, bytes: nil) }
    }
    #expect(throws: FormatError.self) { try store.write(try #require(ObjectName("g", "b"))) }
    #expect(throws: FormatError.self) { try store.names(in: "g") }
    #expect(throws: FormatError.self) { try store.remove([below]) }
    try files.createSymbolicLink(atPath: path + "/ds/HEAD", withDestinationPath: "../other/a")
    #expect(throws: FormatError.self) { try open(path) }
    // A link that is removed is removed itself.
    try store.remove([inside])
    #expect(files.fileExists(atPath: path + "/other/a"))
  }

  @Test func aFolderThatBecomesALinkLeadsNowhere() throws {
    let path = try folder()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let files = FileManager.default
    let store = try open(path)
    let first = try #require(ObjectName("f", "first"))
    try store.replace(first, [1])
    // The folder that was opened is the one that is used, whatever its name leads to by now.
    try files.moveItem(atPath: path + "/ds/f", toPath: path + "/ds/moved")
    try files.createSymbolicLink(atPath: path + "/ds/f", withDestinationPath: "../other")
    try store.replace(try #require(ObjectName("f", "second")), [2])
    _ = try store.create(try #require(ObjectName("f", "third")), [3])
    try store.remove([first])
    #expect(try store.names(in: "f") == ["second", "third"])
    #expect(try files.contentsOfDirectory(atPath: path + "/other").isEmpty)
    #expect(throws: FormatError.self) { try open(path) }
  }

  @Test func aRaceOfFoldersAndLinksLeadsNowhere() throws {
    let path = try folder()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Publishing.write([9], to: path + "/other/victim")
    let stop = ConformanceTests.Counter()
    let swapper = try WorkerThread {
      let files = FileManager.default
      while stop.all.isEmpty {
        try? files.moveItem(atPath: path + "/ds/f", toPath: path + "/ds/away")
        try? files.createSymbolicLink(atPath: path + "/ds/f", withDestinationPath: "../other")
        try? files.removeItem(atPath: path + "/ds/f")
        try? files.moveItem(atPath: path + "/ds/away", toPath: path + "/ds/f")
      }
    }
    var refused = 0
    for number in 0..<400 {
      do {
        let store = try open(path)
        try store.replace(try #require(ObjectName("f", "n\(number)")), [1])
        try store.remove([try #require(ObjectName("f", "victim"))])
      } catch {
        refused += 1
      }
    }
    stop.add(1)
    swapper.join()
    #expect(refused < 400)
    #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/other") == ["victim"])
  }

  @Test func whatWasCutOffIsFoundAndNothingElse() throws {
    let path = try folder()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let id = String(repeating: "a", count: 32)
    let left = ["ds/.\(id)", "ds/.volpipe-\(id)", "ds/.HEAD-\(id)", "ds/f/.\(id)-\(id)"]
    let foreign = ["ds/.DS_Store", "ds/f/.nfs01", "ds/f/.\(id)x", "ds/f/\(id)", "ds/.x-\(id)"]
    for file in left + foreign { try Publishing.write([1], to: "\(path)/\(file)") }
    let store = try open(path)
    let found = try store.unfinished(before: try store.now() + 1)
    #expect(Set(found.map { "ds/\($0.name.path)" }) == Set(left))
    #expect(try store.unfinished(before: 0).isEmpty && store.names(in: "f") == [id])
    try store.remove(found.map(\.name))
    #expect(try store.unfinished(before: try store.now() + 1).isEmpty)
  }
}

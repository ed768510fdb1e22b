import ByteIO
import Datasets
import Frames
import Storage
import Testing

/// A snapshot that goes while somebody looks for the last one.
struct SuccessorTests {
  /// It was listed, and then another followed and a collector took it away: that one is read, and the
  /// dataset is not taken for one without snapshots.
  @Test func aSnapshotThatIsGoneWhenItIsReadHasASuccessor() throws {
    let memory = MemoryStore("ds")
    let dataset = try Dataset.create(memory, Session())
    func commit(_ id: String) throws -> Manifest? {
      _ = try Work.write(.init(writer: 1, ids: [id]), to: dataset, .refuse, inOne: true)
      return try Work.commit(dataset)
    }
    let first = try #require(try commit("a"))
    let second = try #require(try commit("b"))
    let last = try #require(ObjectName("manifests", "0000000002.json"))
    let old = try #require(try memory.read(last, maximum: 1 << 20))
    try memory.remove([last])

    let store = FaultyStore(memory) { call, name in
      if call == .read, name?.file == "0000000001.json" {
        try memory.replace(last, old)
        try memory.remove([try #require(name)])
      }
      return .none
    }
    let late = try Dataset(store, Session())
    #expect(first.snapshot == 1 && second.snapshot == 2)
    #expect(try late.manifest()?.snapshot == 2)
    #expect(try Snapshot(late)?.manifest.snapshot == 2)
  }

  /// Where a listing shows what cannot be read, that is said.
  @Test func aSnapshotThatIsListedAndNeverThereIsAFailure() throws {
    let memory = MemoryStore("ds")
    let dataset = try Dataset.create(memory, Session())
    _ = try Work.write(.init(writer: 1, ids: ["a"]), to: dataset, .refuse, inOne: true)
    _ = try Work.commit(dataset)
    let manifest = try #require(ObjectName("manifests", "0000000001.json"))
    let bytes = try #require(try memory.read(manifest, maximum: 1 << 20))
    let store = FaultyStore(memory) { call, name in
      switch call {
      case .names where name == nil: try memory.replace(manifest, bytes)
      case .read where name == manifest: try memory.remove([manifest])
      default: break
      }
      return .none
    }
    let late = try Dataset(store, Session())
    let failure = #expect(throws: IOFailure.self) { try late.manifest() }
    #expect(failure?.isNotFound == true)
  }
}

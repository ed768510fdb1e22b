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

  /// The same for a collector, which must know what the successor needs, and for whoever gives up a
  /// stage, which the successor may hold.
  @Test func whatTheSuccessorNeedsStays() throws {
    let memory = MemoryStore("ds")
    let dataset = try Dataset.create(memory, Session())
    var stages = try Work.write(.init(writer: 1, ids: ["a"]), to: dataset, .refuse, inOne: true)
    _ = try Work.commit(dataset)
    stages += try Work.write(.init(writer: 1, ids: ["b"]), to: dataset, .refuse, inOne: true)
    let record = try #require(ObjectName("stages", "\(stages[1].stage).json"))
    let staged = try #require(try memory.read(record, maximum: 1 << 20))
    _ = try Work.commit(dataset)
    let (first, second) = (
      try #require(ObjectName("manifests", "0000000001.json")),
      try #require(ObjectName("manifests", "0000000002.json"))
    )
    let manifests = try [first, second].map { try memory.read($0, maximum: 1 << 20) ?? [] }
    /// Snapshot 1 alone is there when the manifests are listed, and 2 alone when they are read.
    func late() throws -> Dataset {
      try memory.replace(first, manifests[0])
      try memory.remove([second])
      return try Dataset(
        FaultyStore(memory) { call, name in
          guard call == .read, name == first else { return .none }
          try memory.replace(second, manifests[1])
          try memory.remove([first])
          return .none
        }, Session())
    }
    let collector = Collector(
      try late(), keep: .init(last: nil, within: nil), grace: -1, isDry: false)
    var gone: [String] = []
    _ = try collector.run { gone.append($0.path) }
    #expect(gone.filter { !$0.hasPrefix("leases/") } == [])
    #expect(try Work.verify(dataset, nil) == [])

    try memory.replace(record, staged)
    try memory.replace(first, manifests[0])
    try memory.remove([second])
    let target = try StageRemover(dataset).find([stages[1].stage], passingOver: false)
    #expect(throws: StageRemover.Refusal.self) { try StageRemover(try late()).giveUp(target) }
    #expect(try Work.verify(dataset, nil) == [])
  }

  /// Where there is no snapshot yet, none is looked for.
  @Test func aDatasetWithoutSnapshotsHasNoneToVisit() throws {
    let dataset = try Dataset.create(MemoryStore("ds"), Session())
    for first in [0, 1, 2] as [UInt64] {
      try dataset.forEachManifest(from: first) { _ in Issue.record("there is one") }
    }
    let stages = try Work.write(.init(writer: 1, ids: ["a"]), to: dataset, .refuse, inOne: true)
    let remover = StageRemover(dataset)
    let outcome = try remover.giveUp(try remover.find(stages.map(\.stage), passingOver: false))
    #expect(outcome.files == 2 && outcome.left == 0)
  }

  /// A record that cannot be read just now may be one of a run, whose other stages must not be left.
  @Test func aStageWhoseRecordIsNotReadAtOnceStays() throws {
    let memory = MemoryStore("ds")
    let dataset = try Dataset.create(memory, Session())
    let stages = try Work.write(
      .init(writer: 1, ids: ["a", "b"]), to: dataset, .refuse, inOne: false)
    let record = try #require(ObjectName("stages", "\(stages[0].stage).json"))
    for failures in 1...2 {
      let left = Counter(failures)
      let store = FaultyStore(memory) { call, name in
        call == .read && name == record && left.take() ? .refused : .none
      }
      #expect(throws: (any Error).self) {
        try StageRemover(try Dataset(store, Session())).find([stages[0].stage], passingOver: false)
      }
    }
    try memory.replace(record, [1, 2, 3])
    let target = try StageRemover(dataset).find([stages[0].stage], passingOver: false)
    #expect(target.map(\.stage) == [stages[0].stage])
  }

  private final class Counter: @unchecked Sendable {
    private let monitor = Monitor()
    private var left: Int
    init(_ count: Int) { left = count }
    func take() -> Bool {
      monitor.update {
        left -= 1
        return left >= 0
      }
    }
  }
}

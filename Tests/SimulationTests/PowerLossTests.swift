import ByteIO
import Chunks
import Datasets
import Frames
import Storage
import Testing

/// A dataset on a disk that loses power at any call, and comes back with less than it was told.
struct PowerLossTests {
  /// What somebody was told, and so must find.
  private final class Told {
    var isCreated = false
    /// The stages that are finished.
    var stages: [Stage] = []
    /// The last snapshot, and its digest.
    var snapshot: (number: UInt64, sha256: String)?
  }

  private func open(_ disk: ModelDisk, _ seed: UInt64) throws -> (DirectoryStore, Session) {
    let dice = Numbers(seed)
    let session = Session(
      draw: { dice.next() }, clock: { disk.now() }, pause: { _ in }, renewsLeases: false)
    let store = try DirectoryStore(
      "ds", disk.folder,
      folders: ["manifests", "packs", "catalogs", "subjects", "stages", "leases"], files: ["HEAD"])
    return (store, session)
  }

  private final class Numbers: @unchecked Sendable {
    private var dice: Dice
    init(_ seed: UInt64) { dice = Dice(seed) }
    func next() -> UInt64 { dice.next() }
  }

  /// All that is done to a dataset in its life, each step by a process of its own.
  private func live(_ disk: ModelDisk, _ told: Told) throws {
    var runs: UInt64 = 0
    func dataset() throws -> Dataset {
      runs += 1
      let (store, session) = try open(disk, runs)
      return told.isCreated ? try Dataset(store, session) : try Dataset.create(store, session)
    }
    func write(_ writer: Int, _ ids: [String], _ existing: StageOptions.Existing = .refuse) throws {
      let stages = try Work.write(
        .init(writer: writer, ids: ids), to: try dataset(), existing, inOne: writer < 2)
      told.stages += stages
    }
    func tell(_ manifest: Manifest?, _ dataset: Dataset) throws {
      guard let number = manifest?.snapshot else { return }
      told.snapshot = (number, try dataset.digest(ofSnapshot: number) ?? "")
    }
    func commit() throws {
      let own = try dataset()
      try tell(try Work.commit(own), own)
    }
    _ = try dataset()
    told.isCreated = true
    try write(0, ["a", "b", "c", "d"])
    try commit()
    _ = try Work.stageTable("age", to: try dataset())
    try write(1, ["a", "e"], .replace)
    try commit()
    _ = try Work.stageTable("sex", to: try dataset())
    try write(2, ["f", "g", "h"])
    try commit()
    let own = try dataset()
    // All that this stage holds goes.
    told.stages.removeAll { $0.collection == "f" }
    try tell(
      try Remover(own, tool: "test").remove(
        ["d", "f"], passingOver: false, metadata: [:], expecting: nil), own)
    try write(3, ["i"])
    let collector = try dataset()
    _ = try Collector(
      collector, keep: .init(last: 1, within: nil), grace: -1, isDry: false
    ).run { _ in }
    try commit()
  }

  @Test func whatWasToldIsThereAfterALossOfPower() throws {
    let whole = ModelDisk()
    try live(whole, Told())
    #expect(whole.calls > 150)
    for end in 0..<whole.calls {
      let disk = ModelDisk()
      disk.end = end
      let told = Told()
      // Some calls may fail unnoticed, such as one that removes a lease.
      try? live(disk, told)
      for turn in 0..<8 {
        var dice = Dice(UInt64(end * 100 + turn))
        do {
          try check(disk.afterLoss(&dice), told)
        } catch {
          Issue.record("after call \(end), turn \(turn): \(error)")
          return
        }
      }
    }
  }

  private func check(_ disk: ModelDisk, _ told: Told) throws {
    func require(_ condition: Bool, _ text: String) throws {
      if !condition { throw Violation(description: text) }
    }
    let (store, session) = try open(disk, 99)
    let dataset =
      told.isCreated ? try Dataset(store, session) : try Dataset.create(store, session)
    let numbers = try dataset.snapshotNumbers()
    if let snapshot = told.snapshot {
      try require(numbers.contains(snapshot.number), "snapshot \(snapshot.number) is gone")
      try require(
        try dataset.digest(ofSnapshot: snapshot.number) == snapshot.sha256,
        "snapshot \(snapshot.number) is another")
    }
    for number in numbers {
      let wrong = try Work.verify(dataset, number)
      try require(wrong.isEmpty, "snapshot \(number): \(wrong)")
    }
    let head = try dataset.manifest()
    let pending = try dataset.pending(besides: head)
    try require(pending.damage.isEmpty, "\(pending.damage)")
    for file in (pending.stages + pending.cut).flatMap(\.files) + pending.tables.map(\.file) {
      try dataset.checkDigest(of: file)
    }
    let known = Set(pending.stages.map(\.stage)).union(try committed(dataset))
    for stage in told.stages {
      try require(known.contains(stage.stage), "stage \(stage.stage) is lost")
    }
    // And life goes on.
    _ = try Work.commit(dataset)
    _ = try Collector(
      dataset, keep: .init(last: nil, within: nil), grace: -1, isDry: false
    ).run { _ in }
    if let snapshot = try Snapshot(dataset) {
      let wrong = try Work.verify(dataset, nil) + Work.read(snapshot)
      try require(wrong.isEmpty, "afterwards: \(wrong)")
    }
  }

  /// The stages that any snapshot which is there holds, or held: those that were replaced or removed.
  private func committed(_ dataset: Dataset) throws -> Set<String> {
    var result: Set<String> = []
    for number in try dataset.snapshotNumbers() {
      result.formUnion(try dataset.manifest(number)?.stages.map(\.stage) ?? [])
    }
    return result
  }
}

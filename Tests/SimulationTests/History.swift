import ByteIO
import Datasets
import Frames
import Storage

/// What must never be, and was.
struct Violation: Error, CustomStringConvertible {
  var description: String
}

/// Watches a dataset as it changes, and holds it to what vol-dataset(5) promises.
///
/// It reads the store itself, past all faults, after every change of it.
final class History: @unchecked Sendable {
  /// What a volume is: the stage that wrote it.
  typealias Volumes = [ExactString: String]

  private let scheduler: Scheduler
  private var store: (any Store)?
  private var dataset: Dataset?
  private(set) var violations: [String] = []
  /// Each snapshot that is there.
  private var snapshots: [UInt64: (digest: String, volumes: Volumes, files: Set<ObjectName>)] = [:]
  /// The stages that a snapshot holds or held, and whose snapshot was not taken back.
  private(set) var committed: Set<String> = []
  /// What each snapshot added, in case it is taken back.
  private var additions: [UInt64: Set<String>] = [:]
  /// What somebody was told that it is given up, and gone.
  private(set) var givenUp: Set<String> = []
  /// The sessions of writers that were told of a failure.
  private var failed: Set<String> = []
  /// Ids that somebody may remove.
  var removable: Set<ExactString> = []
  /// The sessions whose stages' volumes may take the place of others.
  var replacing: Set<String> = []

  init(_ scheduler: Scheduler) { self.scheduler = scheduler }

  /// Begins to watch.
  func watch(_ store: any Store) throws {
    self.store = store
    dataset = try Dataset(store, scheduler.session())
  }

  /// Lets go of the store, which holds it.
  func end() {
    store = nil
    dataset = nil
  }

  func fail(_ text: String) {
    violations.append("\(text) (turn of \(scheduler.current?.name ?? "nobody"))")
    scheduler.note("VIOLATION \(text)")
  }

  /// Takes note that a writer is told that it has failed.
  func fails(_ session: String) {
    let stages = snapshots.values.flatMap { $0.volumes.values }.filter { $0.hasPrefix(session) }
    if let stage = stages.first {
      fail("stage \(stage) is committed, and its writer told of a failure")
    }
    failed.insert(session)
  }

  /// Takes note that somebody is told that these stages are given up, and gone.
  func giveUp(_ stages: some Collection<String>) {
    givenUp.formUnion(stages)
    for (number, snapshot) in snapshots {
      for stage in Set(snapshot.volumes.values).intersection(stages) {
        fail("stage \(stage) was given up, and snapshot \(number) holds it")
      }
    }
  }

  /// Takes note of a change of the store.
  func changed(_ change: MemoryStore.Change, _ name: ObjectName) {
    guard dataset != nil else { return }
    scheduler.note("  \(change) \(name.path)")
    switch (name.folder, change) {
    case ("manifests", .made): check { try made(name) }
    case ("manifests", .removed): removed(name)
    case ("manifests", .replaced): fail("\(name.path) is another than it was")
    case ("packs", .removed), ("catalogs", .removed), ("subjects", .removed): removedFile(name)
    case ("packs", .replaced), ("catalogs", .replaced), ("subjects", .replaced):
      fail("\(name.path) is another than it was")
    case ("stages", .made), ("stages", .replaced): check { try recorded() }
    default: break
    }
  }

  private func check(_ body: () throws -> Void) {
    do { try body() } catch { fail("\(error)") }
  }

  /// What is staged and finished has all its files.
  private func recorded() throws {
    guard let dataset else { return }
    let pending = try dataset.pending(besides: dataset.manifest())
    for error in pending.damage { fail("a record cannot be read: \(error)") }
    for file in (pending.stages + pending.cut).flatMap(\.files) + pending.tables.map(\.file) {
      do { _ = try dataset.open(file) } catch {
        fail("a record is there before its files: \(error)")
      }
    }
  }

  // MARK: Snapshots

  private func made(_ name: ObjectName) throws {
    guard let dataset, let number = UInt64(name.file.prefix(10)),
      let manifest = try dataset.manifest(number)
    else { return fail("\(name.path) is no manifest") }
    let digest = try dataset.digest(ofSnapshot: number) ?? ""
    for file in manifest.files {
      do { try dataset.checkDigest(of: file) } catch { fail("snapshot \(number): \(error)") }
    }
    var volumes: Volumes = [:]
    for stage in manifest.stages {
      try dataset.catalog(stage).forEachRecord { record in
        if volumes.updateValue(stage.stage, forKey: record.obsID) != nil {
          fail("snapshot \(number) holds '\(record.obsID)' twice")
        }
        return true
      }
    }
    let before = manifest.parent.flatMap { snapshots[$0.snapshot] }
    let last = snapshots.keys.max() ?? 0
    if manifest.parent?.snapshot ?? 0 != last || before?.digest != manifest.parent?.sha256 {
      // Its maker must see that and take it back; but only a create that came late may get so far, as
      // no snapshot goes that somebody who lives may be building on.
      scheduler.note("  snapshot \(number) is out of line")
      if scheduler.current != nil { fail("snapshot \(number) is made on one that is not the last") }
    }
    compare(before?.volumes ?? [:], volumes, number)
    let added = Set(manifest.stages.map(\.stage)).subtracting(
      Set(before?.volumes.values.map { $0 } ?? []))
    for stage in added where committed.contains(stage) {
      fail("snapshot \(number) commits stage \(stage) once more")
    }
    for stage in added where givenUp.contains(stage) {
      fail("snapshot \(number) commits stage \(stage), which was given up")
    }
    for stage in added where failed.contains(String(stage.prefix(Session.digits))) {
      fail("snapshot \(number) commits stage \(stage), whose writer was told of a failure")
    }
    committed.formUnion(added)
    additions[number] = added
    snapshots[number] = (digest, volumes, Set(manifest.files.map(\.name)))
  }

  private func compare(_ old: Volumes, _ new: Volumes, _ number: UInt64) {
    for (id, stage) in old {
      guard let now = new[id] else {
        if !removable.contains(id) { fail("snapshot \(number) has lost '\(id)'") }
        continue
      }
      if now != stage, !replacing.contains(String(now.prefix(Session.digits))) {
        fail("snapshot \(number) has another '\(id)' of stage \(now)")
      }
    }
  }

  private func removed(_ name: ObjectName) {
    guard let number = UInt64(name.file.prefix(10)), snapshots[number] != nil else { return }
    let isLast = number == snapshots.keys.max()
    let isCollector = scheduler.current?.name.hasPrefix("collector") == true
    if isLast { fail("snapshot \(number), the last, is removed") }
    if !isCollector {
      // Taken back by its maker, since it was out of line.
      for stage in additions[number] ?? [] { committed.remove(stage) }
    }
    snapshots[number] = nil
  }

  private func removedFile(_ name: ObjectName) {
    for (number, snapshot) in snapshots where snapshot.files.contains(name) {
      fail("\(name.path) is removed, which snapshot \(number) needs")
    }
    guard let dataset else { return }
    check {
      let pending = try dataset.pending(besides: dataset.manifest())
      let files = (pending.stages + pending.cut).flatMap(\.files) + pending.tables.map(\.file)
      if files.contains(where: { $0.name == name }) {
        fail("\(name.path) is removed, which a record names")
      }
    }
  }

  /// The history is a line, and all that it names is there.
  func checkLine() throws {
    guard let dataset else { return }
    let numbers = try dataset.snapshotNumbers()
    if Set(numbers) != Set(snapshots.keys) { fail("snapshots \(numbers) are there") }
    for (number, next) in zip(numbers, numbers.dropFirst()) where next == number + 1 {
      if try dataset.manifest(next)?.parent?.sha256 != snapshots[number]?.digest {
        fail("snapshot \(next) does not follow \(number)")
      }
    }
    for (number, snapshot) in snapshots {
      for file in snapshot.files {
        if try store?.open(file, bytes: nil) == nil {
          fail("snapshot \(number) lacks \(file.path)")
        }
      }
    }
  }
}

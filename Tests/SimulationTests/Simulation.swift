import ByteIO
import Chunks
import Datasets
import Frames
import Storage

/// One life of a dataset in memory: several processes at once, of which some fail and some die, as the
/// seed has it.
final class Simulation: @unchecked Sendable {
  private let scheduler: Scheduler
  private let history: History
  private let memory: MemoryStore
  private let grace = 3600.0
  /// What writers were told that it is staged, and what it holds.
  private var staged: [String: Streams.Load] = [:]
  /// What may be given up or not.
  private var doubtful: Set<String> = []
  /// An id that writers use without looking at each other.
  private static let sharedID = "z"
  /// How many writers have begun to write a volume of that id.
  private var sharers = 0
  private var wrong: [String] = []

  init(_ seed: UInt64, keepsTrace: Bool = false) {
    let scheduler = Scheduler(seed, keepsTrace: keepsTrace)
    let history = History(scheduler)
    self.scheduler = scheduler
    self.history = history
    memory = MemoryStore("ds", clock: { scheduler.now }) { history.changed($0, $1) }
    scheduler.renewLeases = { [unowned self] in renewLeases() }
    scheduler.isEndless = { [unowned history] in history.fail("it does not end") }
  }

  /// How often processes of each kind ended in each way.
  private(set) var tally: [String: Int] = [:]

  /// What happened, a call a line.
  var trace: [String] { scheduler.trace }

  /// Runs it to its end.
  ///
  /// - Throws: `Violation` if anything was as it must not be.
  func run() throws {
    defer { history.end() }
    do {
      try begin()
      try addProcesses()
      scheduler.run()
      try end()
    } catch {
      if history.violations.isEmpty { history.fail("in the end: \(error)") }
    }
    if let first = history.violations.first ?? wrong.first { throw Violation(description: first) }
  }

  // MARK: Beginning and end

  private func begin() throws {
    let dataset = try Dataset.create(memory, scheduler.session())
    try history.watch(memory)
    try write(dataset, .init(writer: 0, ids: ["a", "b", "c", "d"]), .refuse)
    _ = try Work.stageTable("age", to: dataset)
    _ = try Work.commit(dataset)
  }

  private func addProcesses() throws {
    let isFaulty = scheduler.once(in: 2)
    let isDeadly = scheduler.once(in: 2)
    // Races want many of those who meet in them.
    let crowd: Set<String> = [
      [], ["writer", "committer", "collector"],
      ["writer", "committer", "stage remover", "collector"],
    ][scheduler.roll(3)]
    func add(_ name: String, _ most: Int, _ body: @escaping @Sendable (Dataset, Int) throws -> Void)
      throws
    {
      for number in 0..<(crowd.contains(name) ? most : scheduler.roll(most + 1)) {
        try scheduler.add("\(name) \(number)") { [self] process in
          process.faults = isFaulty ? [0, 10, 40, 100][scheduler.roll(4)] : 0
          process.deaths = isDeadly && scheduler.once(in: 2) ? 60 : 0
          work(process) { try body($0, number) }
        }
      }
    }
    try add("writer", 3) { dataset, number in try self.writer(dataset, number) }
    try add("committer", 3) { dataset, _ in try self.committer(dataset) }
    try add("remover", 1) { dataset, _ in try self.remover(dataset) }
    try add("stage remover", 2) { dataset, _ in try self.stageRemover(dataset) }
    try add("collector", 2) { dataset, _ in try self.collector(dataset) }
    try add("reader", 2) { dataset, _ in try self.reader(dataset) }
    try add("table writer", 1) { dataset, number in
      _ = try Work.stageTable("c\(number)", to: dataset)
    }
  }

  /// Runs a process to its end, whatever that is.
  private func work(_ process: Process, _ body: (Dataset) throws -> Void) {
    let store = FaultyStore(memory, later: { [scheduler] in scheduler.delay($0) }) {
      [scheduler] call, name in try scheduler.decide(process, call, name)
    }
    do {
      try body(try Dataset(store, scheduler.session(of: process)))
      count(process, "ready")
    } catch {
      let ending =
        switch error {
        case is Killed: "killed"
        case is FaultyStore.Failure: "failed"
        case is UnsureCommit: "unsure commit"
        case is UnsureStage: "unsure stage"
        case is StageRemover.Refusal: "refused"
        case is StageGivenUp: "given up"
        case CommitRefusal.unreadable: "unreadable"
        case let error as FormatError where isOfTwo(error): "same id"
        default: "wrong"
        }
      if process.name.hasPrefix("writer"), ["failed", "given up", "same id"].contains(ending) {
        history.fails(process.session.name)
      }
      if ending == "wrong" { history.fail("\(process.name): \(error)") }
      count(process, ending)
    }
  }

  /// Whether a volume or a commit was refused, since two writers wrote volumes of the same id.
  private func isOfTwo(_ error: FormatError) -> Bool {
    let id = Self.sharedID
    let told = "\(error)"
    let reasons = [
      "the id '\(id)' stands for two volumes", "the id '\(id)' is in collection",
      "volume '\(id)': it is in collection", "has another volume under this id",
    ]
    return sharers > 1 && told.contains("'\(id)'") && reasons.contains { told.contains($0) }
  }

  private func count(_ process: Process, _ ending: String) {
    let kind = process.name.split(separator: " ").dropLast().joined(separator: " ")
    tally["\(kind): \(ending)", default: 0] += 1
    scheduler.note("\(process.name): \(ending)")
  }

  private func renewLeases() {
    let living = Set(scheduler.living.map(\.session.name))
    for lease in (try? memory.list("leases")) ?? []
    where living.contains(String(lease.name.file.prefix(Session.digits))) {
      try? memory.touch(lease.name, [])
    }
  }

  /// What is left is committed and looked at, and all that nobody needs is collected.
  private func end() throws {
    let dataset = try Dataset(memory, scheduler.session())
    do {
      _ = try Work.commit(dataset)
    } catch let error as FormatError where isOfTwo(error) {
      try giveUpShared(dataset)
      _ = try Work.commit(dataset)
    }
    try history.checkLine()
    for (stage, load) in staged
    where !history.givenUp.contains(stage) && !doubtful.contains(stage)
      && !history.committed.contains(stage)
    {
      history.fail("stage \(stage) of \(load) is lost")
    }
    try checkAll(dataset)
    let collector = Collector(
      dataset, keep: .init(last: nil, within: nil), grace: -1, isDry: false)
    _ = try collector.run { _ in }
    let needed = Set(
      try dataset.snapshotNumbers().flatMap { try dataset.manifest($0)?.files.map(\.name) ?? [] })
    for folder in ["packs", "catalogs", "subjects"] {
      for object in try memory.list(folder) where !needed.contains(object.name) {
        // Of runs that were cut off while they published, records keep the files.
        let id = String(object.name.file.prefix(32))
        let pending = try dataset.pending(besides: dataset.manifest())
        if !pending.cut.contains(where: { $0.stage == id }) {
          history.fail("\(object.name.path) is left, which nobody needs")
        }
      }
    }
    try history.checkLine()
    try checkAll(dataset)
  }

  /// Gives up what is staged with volumes of the shared id, as the refusal of a commit says.
  private func giveUpShared(_ dataset: Dataset) throws {
    let staged = try dataset.pending(besides: dataset.manifest()).stages
    var ids: Set<String> = []
    for stage in staged where try dataset.catalog(stage).record(ExactString(Self.sharedID)) != nil {
      ids.formUnion(
        staged.filter { $0.stage == stage.stage || ($0.run != nil && $0.run == stage.run) }
          .map(\.stage))
    }
    let remover = StageRemover(dataset)
    _ = try remover.giveUp(try remover.find(ids.sorted(), passingOver: false))
    history.giveUp(ids)
    tally["given up for the same id", default: 0] += 1
  }

  private func checkAll(_ dataset: Dataset) throws {
    for finding in try Work.verify(dataset, nil) { history.fail(finding) }
    if let snapshot = try Snapshot(dataset) { wrong += try Work.read(snapshot) }
  }

  // MARK: Processes

  private func writer(_ dataset: Dataset, _ number: Int) throws {
    let existing: StageOptions.Existing = [.refuse, .replace, .skip][scheduler.roll(3)]
    let own = ["w\(number)", "x\(number)", "y\(number)"].prefix(1 + scheduler.roll(3))
    var ids = existing == .replace ? [["a", "b", "c"][number % 3]] + own : Array(own)
    if existing != .replace, scheduler.once(in: 4) {
      ids.append(Self.sharedID)
      sharers += 1
    }
    try write(dataset, .init(writer: number + 1, ids: ids), existing)
  }

  private func write(
    _ dataset: Dataset, _ load: Streams.Load, _ existing: StageOptions.Existing
  ) throws {
    if existing == .replace { history.replacing.insert(dataset.session.name) }
    let inOne = existing == .replace || load.writer == 0 || scheduler.once(in: 2)
    for stage in try Work.write(load, to: dataset, existing, inOne: inOne) {
      staged[stage.stage] = load
    }
  }

  private func committer(_ dataset: Dataset) throws {
    for _ in 0...scheduler.roll(3) {
      for _ in 0..<scheduler.roll(20) { dataset.session.pause(1) }
      _ = try Work.commit(dataset)
    }
  }

  private func remover(_ dataset: Dataset) throws {
    let ids: [ExactString] = ["d"] + (scheduler.once(in: 2) ? ["w0"] : [])
    history.removable.formUnion(ids)
    _ = try Remover(dataset, tool: "test").remove(
      ids, passingOver: true, metadata: [:], expecting: nil)
  }

  private func stageRemover(_ dataset: Dataset) throws {
    let remover = StageRemover(dataset)
    var stages: [Stage] = []
    for _ in 0..<20 where stages.isEmpty {
      dataset.session.pause(1)
      let pending = try dataset.pending(besides: try dataset.manifest())
      stages = pending.stages + pending.cut
    }
    guard let stage = stages.first else { return }
    let ids = stages.filter { $0.stage == stage.stage || (stage.run != nil && $0.run == stage.run) }
      .map(\.stage)
    // Until it is told, it may be gone or not.
    let targets = try remover.find(ids, passingOver: false)
    doubtful.formUnion(ids)
    let outcome = try remover.giveUp(targets)
    tally["files left to the collector: \(outcome.left > 0)", default: 0] += 1
    if outcome.left == 0 { history.giveUp(ids) }
  }

  private func collector(_ dataset: Dataset) throws {
    for _ in 0...scheduler.roll(4) {
      for _ in 0..<scheduler.roll(40) { dataset.session.pause(1) }
      try collect(dataset)
    }
  }

  private func collect(_ dataset: Dataset) throws {
    let keep = Collector.Keep(last: [nil, 1, 2][scheduler.roll(3)], within: nil)
    let kept = try Collector(dataset, keep: keep, grace: grace, isDry: false).run {
      let kind = $0.path.split(separator: "/").first.map(String.init) ?? ""
      tally["collected of \(kind)", default: 0] += 1
    }
    if kept.young.files > 0 { tally["kept for a lease", default: 0] += 1 }
  }

  private func reader(_ dataset: Dataset) throws {
    guard let snapshot = try Snapshot(dataset) else { return }
    do {
      wrong += try Work.read(snapshot)
    } catch {
      guard error is FormatError || (error as? IOFailure)?.isNotFound == true else { throw error }
      // A snapshot that is there is whole; one that a collector has removed meanwhile need not be.
      let isThere = try memory.names(in: "manifests").contains {
        UInt64($0.prefix(10)) == snapshot.manifest.snapshot
      }
      if isThere { wrong.append("a reader has found damage: \(error)") }
    }
  }
}

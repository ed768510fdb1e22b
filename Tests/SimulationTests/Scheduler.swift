import ByteIO
import Datasets
import Glibc
import Storage

/// Numbers that are the same for the same seed.
///
/// Source: Guy L. Steele et al., Fast Splittable Pseudorandom Number Generators, 2014 (SplitMix64).
struct Dice: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// True once in `count` times.
  mutating func once(in count: UInt64) -> Bool { next() % count == 0 }
}

/// A process of a simulation: a thread that goes on only when it is its turn.
final class Process: @unchecked Sendable {
  let name: String
  let number: Int
  fileprivate let turn = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  fileprivate(set) var isKilled = false
  fileprivate(set) var isDone = false
  /// Of processes that take turns by rank, the highest goes on.
  fileprivate var rank: Int
  /// It stands still until so many calls were made, unless all others do; its lease is renewed.
  fileprivate var stillUntil = 0
  /// One call in so many goes wrong; 0 for none.
  var faults: UInt64 = 0
  /// One call in so many is its last; 0 for none.
  var deaths: UInt64 = 0
  fileprivate(set) var session = Session()

  fileprivate init(_ name: String, _ number: Int, rank: Int) {
    self.name = name
    self.rank = rank
    self.number = number
    sem_init(turn, 0, 0)
  }

  deinit {
    sem_destroy(turn)
    turn.deallocate()
  }
}

/// What a killed process gets from each call.
struct Killed: Error {}

/// Runs processes one call at a time, in an order that the seed gives, and by a clock of its own.
///
/// The order is one of two. Anybody may be next, which interleaves calls finely; or the process with
/// the highest rank goes on until it loses that at random or waits for somebody, so that one stands
/// still between two calls while another does the whole of its work.
///
/// Source: Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs,
/// 2010.
final class Scheduler: @unchecked Sendable {
  private(set) var dice: Dice
  private(set) var now = 1_800_000_000.0
  private(set) var trace: [String] = []
  let keepsTrace: Bool
  private let isByRank: Bool
  /// Whether processes stand still for long now and then, as on a disk that hangs.
  private let isStalling: Bool
  private var lowestRank = 0
  private var calls = 0
  private static let mostCalls = 200_000
  private var processes: [Process] = []
  private var threads: [WorkerThread] = []
  private var delayed: [@Sendable () -> Void] = []
  /// Whose turn it is; nil for what belongs to none.
  private(set) var current: Process?
  private let end = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  /// Renews the leases of those who live, as their threads would have done in a long time.
  var renewLeases: () -> Void = {}
  /// Called where a life has far more calls than any that ends.
  var isEndless: () -> Void = {}

  init(_ seed: UInt64, keepsTrace: Bool) {
    dice = Dice(seed)
    isByRank = dice.once(in: 2)
    isStalling = dice.once(in: 2)
    self.keepsTrace = keepsTrace
    sem_init(end, 0, 0)
  }

  deinit {
    sem_destroy(end)
    end.deallocate()
  }

  func roll(_ bound: Int) -> Int { Int(dice.next() % UInt64(bound)) }
  func once(in count: UInt64) -> Bool { dice.once(in: count) }

  /// Those who are at work and live.
  var living: [Process] { processes.filter { !$0.isKilled && !$0.isDone } }

  /// A session whose ids and times come from the seed; of a process, or of none.
  func session(of process: Process? = nil) -> Session {
    let own = Cell(Dice(dice.next()))
    let session = Session(
      draw: { own.dice.next() }, clock: { [unowned self] in now },
      pause: { [unowned self, weak process] seconds in
        guard let process else { return }
        now += min(seconds, 1)
        stepBack(process)
        pass(process)
      }, renewsLeases: false)
    process?.session = session
    return session
  }

  private final class Cell: @unchecked Sendable {
    var dice: Dice
    init(_ dice: Dice) { self.dice = dice }
  }

  /// Adds a process; `body` begins when it is its turn.
  func add(_ name: String, _ body: @escaping @Sendable (Process) -> Void) throws {
    let process = Process(name, processes.count, rank: roll(1 << 30))
    processes.append(process)
    threads.append(
      try WorkerThread { [unowned self] in
        sem_wait(process.turn)
        body(process)
        process.isDone = true
        if !giveTurn(among: processes.filter { !$0.isDone }) { sem_post(end) }
      })
  }

  /// Runs all to their end, then what is delayed still.
  func run() {
    if giveTurn(among: processes) { sem_wait(end) }
    for thread in threads { thread.join() }
    current = nil
    for process in processes { process.isDone = true }
    while !delayed.isEmpty { doDelayed() }
  }

  /// Decides what becomes of a call of `process`, after others had their turn.
  func decide(
    _ process: Process, _ call: FaultyStore.Call, _ name: ObjectName?
  ) throws -> FaultyStore.Fault {
    pass(process)
    calls += 1
    if calls == Self.mostCalls { isEndless() }
    if process.isKilled || calls >= Self.mostCalls { throw Killed() }
    if process.deaths > 0, once(in: process.deaths) {
      process.isKilled = true
      note("\(process.name) dies at \(call)")
      throw Killed()
    }
    var fault = FaultyStore.Fault.none
    // A commit comes to one call, which must go wrong often enough.
    if process.faults > 0, once(in: call == .create ? 3 : process.faults) {
      fault = FaultyStore.Fault.allCases[roll(FaultyStore.Fault.allCases.count)]
    }
    note("\(process.name) \(call) \(name?.path ?? "") \(fault == .none ? "" : "\(fault)")")
    return fault
  }

  /// Takes what is to be done at some later time.
  func delay(_ work: @escaping @Sendable () -> Void) { delayed.append(work) }

  func note(_ text: @autoclosure () -> String) { if keepsTrace { trace.append(text()) } }

  /// Lets time go by, and others have their turn.
  private func pass(_ process: Process) {
    now += Double(roll(1000)) / 500
    if once(in: 50) {
      now += Double(roll(100_000))
      renewLeases()
    }
    if !delayed.isEmpty, once(in: 8) { doDelayed() }
    if once(in: 30) { stepBack(process) }
    if isStalling, once(in: 100) { process.stillUntil = calls + roll(1000) }
    if giveTurn(among: processes.filter { !$0.isDone }, from: process) { sem_wait(process.turn) }
    current = process
  }

  /// Lets all others go first.
  private func stepBack(_ process: Process) {
    lowestRank -= 1
    process.rank = lowestRank
  }

  private func doDelayed() {
    let owner = current
    current = nil
    note("what was delayed is done")
    delayed.remove(at: roll(delayed.count))()
    current = owner
  }

  /// Gives the turn to one of these.
  ///
  /// - Returns: false if it stays with `owner`, or there is none.
  private func giveTurn(among candidates: [Process], from owner: Process? = nil) -> Bool {
    guard !candidates.isEmpty else { return false }
    let moving = candidates.filter { $0.stillUntil <= calls }
    let candidates = moving.isEmpty ? candidates : moving
    let drawn = candidates[roll(candidates.count)]
    let next = isByRank ? candidates.max { $0.rank < $1.rank } ?? drawn : drawn
    if next === owner { return false }
    current = next
    sem_post(next.turn)
    return true
  }
}

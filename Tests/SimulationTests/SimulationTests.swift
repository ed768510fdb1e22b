import Foundation
import Testing

/// Many lives of a dataset, each by its seed.
///
/// `VOLPIPE_LIVES` is how many, `VOLPIPE_SEED` the first; one that fails is printed with all its calls
/// if `VOLPIPE_TRACE` is set. Dictionaries have another order in each process, unless
/// `SWIFT_DETERMINISTIC_HASHING` is set, as `make check` does.
struct SimulationTests {
  @Test func aDatasetKeepsItsPromisesWhateverFails() async {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["VOLPIPE_SEED"].flatMap { UInt64($0) } ?? 1
    let count = environment["VOLPIPE_LIVES"].flatMap { UInt64($0) } ?? 4_000
    let (failures, tally) = await withTaskGroup(of: ([String], [String: Int]).self) { group in
      for part in 0..<2 as Range<UInt64> {
        group.addTask {
          var failures: [String] = []
          var tally: [String: Int] = [:]
          for seed in stride(from: first + part, to: first + count, by: 2) where failures.count < 3
          {
            let life = Simulation(seed, keepsTrace: environment["VOLPIPE_TRACE"] != nil)
            do {
              try life.run()
            } catch {
              failures.append((life.trace + ["seed \(seed): \(error)"]).joined(separator: "\n"))
            }
            tally.merge(life.tally, uniquingKeysWith: +)
          }
          return (failures, tally)
        }
      }
      var all: ([String], [String: Int]) = ([], [:])
      for await (failures, tally) in group {
        all.0 += failures
        all.1.merge(tally, uniquingKeysWith: +)
      }
      return all
    }
    if environment["VOLPIPE_TALLY"] != nil {
      for (what, count) in tally.sorted(by: { $0.key < $1.key }) { print(count, what) }
    }
    #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
  }
}

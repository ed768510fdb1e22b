import ByteIO
import Glibc
import Testing

@Suite struct OrderedPipelineTests {
  private struct Bad: Error, Equatable { var number: Int }

  private final class Collected: @unchecked Sendable {
    var numbers: [Int] = []
  }

  @Test(arguments: [1, 2, 8]) func resultsComeOutInOrder(jobs: Int) throws {
    let collected = Collected()
    let pipeline = try OrderedPipeline<Void, Int, Int>(
      jobs: jobs, capacity: 5, makeWorker: {},
      transform: { _, number in
        // Uneven work, so that threads overtake each other.
        (0..<(number % 7) * 2_000).reduce(number * 3) { $0 ^ $1 ^ $1 }
      },
      sink: { collected.numbers.append($0) })
    for number in 0..<1_000 { try pipeline.submit(number) }
    try pipeline.finish()
    #expect(collected.numbers == (0..<1_000).map { $0 * 3 })
  }

  @Test func anErrorOfTheWorkEndsIt() throws {
    let collected = Collected()
    let pipeline = try OrderedPipeline<Void, Int, Int>(
      jobs: 3, capacity: 4, makeWorker: {},
      transform: { _, number in
        if number == 50 { throw Bad(number: number) }
        return number
      },
      sink: { collected.numbers.append($0) })
    #expect(throws: Bad(number: 50)) {
      for number in 0..<10_000 { try pipeline.submit(number) }
      try pipeline.finish()
    }
    pipeline.cancel()
    #expect(collected.numbers == Array(0..<collected.numbers.count))
    #expect(collected.numbers.count <= 50)
  }

  @Test func anErrorOfTheSinkReachesTheOneWhoHandsIn() throws {
    let pipeline = try OrderedPipeline<Void, Int, Int>(
      jobs: 2, capacity: 2, makeWorker: {}, transform: { $1 },
      sink: { if $0 == 3 { throw Bad(number: $0) } })
    #expect(throws: Bad(number: 3)) {
      for number in 0..<10_000 { try pipeline.submit(number) }
    }
    pipeline.cancel()
  }

  /// What an item holds is free once it is out, however long more items wait.
  @Test func itemsThatAreOutHoldNothing() throws {
    final class Held: @unchecked Sendable {
      let count: Count
      init(_ count: Count) {
        self.count = count
        count.add(1)
      }
      deinit { count.add(-1) }
    }
    final class Count: @unchecked Sendable {
      private let monitor = Monitor()
      private var held = 0
      private(set) var most = 0
      func add(_ number: Int) {
        monitor.update {
          held += number
          most = max(most, held)
        }
      }
    }
    let count = Count()
    let pipeline = try OrderedPipeline<Void, Held, Void>(
      jobs: 1, capacity: 8, makeWorker: {},
      // Slower than they are handed in, so that some always wait.
      transform: { _, _ in usleep(100) }, sink: {})
    for _ in 0..<500 { try pipeline.submit(Held(count)) }
    try pipeline.finish()
    // One more is with who waits for room, and one with the thread, which is done with it.
    #expect(count.most <= 10)
  }
}

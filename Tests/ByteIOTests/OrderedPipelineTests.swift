import ByteIO
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
}

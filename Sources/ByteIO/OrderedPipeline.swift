/// Work done by several threads, whose results come out in the order in which it was handed in.
///
/// `transform` runs on any of `jobs` threads, each with a worker state of its own (a codec
/// context, a buffer); `sink` gets the results one at a time, in order, on one further thread.
/// At most `capacity` items are under way, and those that take much memory only as far as `budget`
/// goes, so that memory does not grow with the number of threads.
///
/// The first error of either closure ends the work; `submit` and `finish` throw it.
public final class OrderedPipeline<Worker, Input: Sendable, Output: Sendable>: @unchecked Sendable {
  private let monitor = Monitor()
  private let capacity: Int
  private let budget: Int
  private var threads: [WorkerThread] = []

  /// What waits for a thread, in order; those before `firstInput` were taken, and are nil, since an
  /// item may hold memory that others wait for.
  private var inputs: [(number: UInt64, input: Input?)] = []
  private var firstInput = 0
  private var outputs: [UInt64: Output] = [:]
  private var submitted: UInt64 = 0
  private var sunk: UInt64 = 0
  /// What the items under way cost that cost anything, and the sum.
  private var costs: [UInt64: Int] = [:]
  private var spent = 0
  private var isFinished = false
  /// Whether all threads were started; before that none takes memory, which the others may lack.
  private var isStarted = false
  private var failure: (any Error)?
  /// Does the work at once, where there are no threads.
  private var atOnce: ((Input) throws -> Output)?
  private let sink: @Sendable (Output) throws -> Void

  /// Starts the threads.
  ///
  /// - Parameters:
  ///   - jobs: threads that run `transform`; 0 if all is to be done by who submits, before that
  ///     returns.
  ///   - capacity: the most items under way.
  ///   - budget: the most bytes that these may cost together, unless there is one only.
  ///   - makeWorker: makes a thread's own state.
  ///   - transform: does the work.
  ///   - sink: takes what comes of it, in order.
  /// - Throws: `ThreadRefused`; no thread is left running then.
  public init(
    jobs: Int, capacity: Int, budget: Int = 96 << 20,
    makeWorker: @escaping @Sendable () throws -> Worker,
    transform: @escaping @Sendable (inout Worker, Input) throws -> Output,
    sink: @escaping @Sendable (Output) throws -> Void
  ) throws {
    precondition(jobs >= 0 && capacity > 0)
    self.capacity = capacity
    self.budget = budget
    self.sink = sink
    guard jobs > 0 else {
      var worker: Worker?
      atOnce = { input in
        var own = try worker ?? makeWorker()
        defer { worker = own }
        return try transform(&own, input)
      }
      return
    }
    do {
      try start(jobs, makeWorker, transform)
      monitor.update { isStarted = true }
    } catch {
      let started = threads.count
      cancel()
      throw ThreadRefused(started: started)
    }
  }

  private func start(
    _ jobs: Int, _ makeWorker: @escaping @Sendable () throws -> Worker,
    _ transform: @escaping @Sendable (inout Worker, Input) throws -> Output
  ) throws {
    for _ in 0..<jobs {
      threads.append(
        try WorkerThread { [self] in
          do {
            guard awaitStart() else { return }
            var worker = try makeWorker()
            while let (number, input) = takeInput() {
              let output = try transform(&worker, input)
              // After a failure nobody takes outputs, and what they hold others may wait for.
              monitor.update { if failure == nil { outputs[number] = output } }
            }
          } catch {
            fail(error)
          }
        })
    }
    threads.append(
      try WorkerThread { [self] in
        do {
          while let output = takeOutput() {
            try sink(output)
            monitor.update {
              spent -= costs.removeValue(forKey: sunk) ?? 0
              sunk += 1
            }
          }
        } catch {
          fail(error)
        }
      })
  }

  /// Hands in one item; waits while `capacity` items, or too costly ones, are under way.
  ///
  /// - Parameters:
  ///   - input: the item.
  ///   - cost: about how many bytes it takes until it is out, besides a few thousand.
  /// - Throws: the first error of either closure.
  public func submit(_ input: Input, cost: Int = 0) throws {
    if let atOnce { return try doAtOnce { try atOnce(input) } }
    try enqueue(cost) { inputs.append(($0, input)) }
  }

  /// Hands in what needs no work: it comes out in its turn as it is.
  ///
  /// - Parameters:
  ///   - output: the item.
  ///   - cost: as of `submit`.
  /// - Throws: the first error of either closure.
  public func pass(_ output: Output, cost: Int = 0) throws {
    if atOnce != nil { return try doAtOnce { output } }
    try enqueue(cost) { outputs[$0] = output }
  }

  private func enqueue(_ cost: Int, _ add: (UInt64) -> Void) throws {
    try monitor.wait { () -> Result<Void, any Error>? in
      if let failure { return .failure(failure) }
      guard submitted - sunk < UInt64(capacity) else { return nil }
      if cost > 0 {
        guard spent == 0 || spent + cost <= budget else { return nil }
        costs[submitted] = cost
        spent += cost
      }
      add(submitted)
      submitted += 1
      return .success(())
    }.get()
  }

  private func doAtOnce(_ work: () throws -> Output) throws {
    if let failure { throw failure }
    do {
      try sink(try work())
    } catch {
      fail(error)
      throw error
    }
  }

  /// Waits until nothing is under way: what the sink uses is free until more is handed in.
  ///
  /// - Throws: the first error of either closure.
  public func drain() throws {
    try monitor.wait { () -> Result<Void, any Error>? in
      if let failure { return .failure(failure) }
      return sunk == submitted ? .success(()) : nil
    }.get()
  }

  /// Whether nothing is under way.
  public var isIdle: Bool { monitor.update { sunk == submitted } }

  /// Waits until all items came out.
  ///
  /// - Throws: the first error of either closure.
  public func finish() throws {
    monitor.update { isFinished = true }
    join()
    if let failure { throw failure }
  }

  /// Ends the work where it stands, for one who failed elsewhere.
  public func cancel() {
    fail(Cancelled())
    join()
  }

  private struct Cancelled: Error {}

  private func join() {
    for thread in threads { thread.join() }
    threads = []
  }

  private func fail(_ error: any Error) {
    monitor.update {
      if failure == nil { failure = error }
      inputs = []
      firstInput = 0
      outputs = [:]
    }
  }

  /// Waits until all threads are there; false if one was refused.
  private func awaitStart() -> Bool {
    monitor.wait { failure != nil ? false : isStarted ? true : nil }
  }

  private func takeInput() -> (UInt64, Input)? {
    monitor.wait { () -> (UInt64, Input)?? in
      if failure != nil { return .some(nil) }
      if firstInput < inputs.count, let input = inputs[firstInput].input {
        let number = inputs[firstInput].number
        inputs[firstInput].input = nil
        firstInput += 1
        if firstInput == inputs.count || firstInput >= 1024 {
          inputs.removeFirst(firstInput)
          firstInput = 0
        }
        return (number, input)
      }
      return isFinished ? .some(nil) : nil
    }
  }

  private func takeOutput() -> Output? {
    monitor.wait { () -> Output?? in
      if failure != nil { return .some(nil) }
      if let output = outputs.removeValue(forKey: sunk) { return .some(output) }
      return isFinished && sunk == submitted ? .some(nil) : nil
    }
  }
}

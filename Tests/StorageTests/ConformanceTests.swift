import ByteIO
import Foundation
import S3
import Storage
import Testing

/// A bucket to test with; nil where there is no object store.
private let testBucket = ProcessInfo.processInfo.environment["VOLPIPE_BUCKET"]

/// What every store must do, as `Store` promises it.
struct ConformanceTests {
  /// The stores that there are; the bucket where scripts/with-object-store gives one.
  enum Kind: String, CaseIterable {
    case directory, memory, delayed, bucket

    static let allCases: [Kind] =
      [.directory, .memory, .delayed] + (testBucket == nil ? [] : [.bucket])
  }

  /// A store for one test.
  final class Place {
    let store: any Store
    private let path: String

    init(_ kind: Kind) throws {
      path = NSTemporaryDirectory() + "/volpipe-" + randomIdentifier()
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      switch kind {
      case .directory: store = try DirectoryStore(path, folders: ["f", "g"], files: ["top"])
      case .memory: store = MemoryStore()
      case .delayed:
        store = FaultyStore(MemoryStore()) { _, _ in
          usleep(UInt32.random(in: 0...200))
          return .none
        }
      case .bucket:
        // As small as servers allow, so that a test's objects have several.
        var options = UploadOptions()
        options.partBytes = UploadOptions.partRange.lowerBound
        let address = try BucketAddress("s3://\(testBucket ?? "")/ü \(randomIdentifier())/a+b%")
        store = S3Store(try Bucket(address), options)
      }
    }

    func end() { try? FileManager.default.removeItem(atPath: path) }
  }

  private func name(_ folder: String?, _ file: String) throws -> ObjectName {
    try #require(ObjectName(folder, file))
  }

  private func put(_ bytes: [UInt8], _ name: ObjectName, in store: any Store) throws {
    let writer = try store.write(name)
    try bytes.withUnsafeBytes { try writer.append($0) }
    try writer.finish()
  }

  private func contents(_ name: ObjectName, in store: any Store) throws -> [UInt8] {
    let file = try store.open(name, bytes: nil)
    var bytes = [UInt8](repeating: 0, count: Int(file.bytes))
    #expect(try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) } == bytes.count)
    return bytes
  }

  /// Runs `body` in so many threads at once.
  private func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    let threads = try (0..<count).map { number in try WorkerThread { body(number) } }
    for thread in threads { thread.join() }
  }

  @Test(arguments: [
    "", ".", "..", "a/b", "/", ".hidden", "a\u{0}b", "a\nb", "a\u{7F}",
    String(repeating: "x", count: 256),
  ])
  func namesThatLeadElsewhereCannotBe(_ text: String) {
    #expect(ObjectName(nil, text) == nil && ObjectName("f", text) == nil)
    #expect(ObjectName(text, "a") == nil)
    #expect(text.isEmpty || text == "a/b" || ObjectName(path: "f/\(text)") == nil)
  }

  @Test func pathsAreNames() throws {
    #expect(ObjectName(path: "f/a")?.path == "f/a" && ObjectName(path: "a")?.folder == nil)
    for path in ["f/a/b", "/a", "f/", "f//a", "../a", "f/..", "./a"] {
      #expect(ObjectName(path: path) == nil, "\(path)")
    }
    #expect(try name("f", "a") < name("f", "b") && name("f", "z") < name("g", "a"))
  }

  @Test(arguments: Kind.allCases) func ofAllWhoCreateANameOneDoes(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    for round in 0..<20 {
      let target = try name("f", "\(round)")
      let made = Counter()
      let store = place.store
      try concurrently(16) { number in
        guard case .made? = try? store.create(target, [UInt8(number)]) else { return }
        made.add(number)
      }
      #expect(made.all.count == 1)
      #expect(try store.read(target, maximum: 9) == made.all.map { UInt8($0) })
    }
  }

  @Test(arguments: Kind.allCases) func whatIsThereStaysWhatever(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    let target = try name("f", "a")
    guard case .made = try store.create(target, [1]) else { return #expect(Bool(false)) }
    guard case .exists = try store.create(target, [2]) else { return #expect(Bool(false)) }
    #expect(throws: IOFailure.self) {
      let writer = try store.write(target)
      try writer.finish()
    }
    #expect(try store.read(target, maximum: 1) == [1])
    #expect(try store.canCreate(in: "f") && store.names(in: "f") == ["a"])
  }

  @Test(arguments: Kind.allCases) func whatIsFinishedIsSeen(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    let target = try name("g", "a")
    let writer = try store.write(target)
    try [1, 2, 3].withUnsafeBytes { try writer.append($0) }
    let size = UInt64(3 * MemoryLayout<Int>.size)
    #expect(writer.offset == size)
    try writer.finish()
    #expect(try store.list("g").map(\.bytes) == [size] && store.names(in: "g") == ["a"])
    let reader = try store.open(target, bytes: size)
    #expect(throws: (any Error).self) { try store.open(target, bytes: size + 1) }
    // Who has it open goes on reading.
    try store.remove([target])
    #expect(try reader.readEnd(100).count == Int(size) && store.names(in: "g") == [])
    #expect(try store.read(target, maximum: 100) == nil)
    let gone = #expect(throws: IOFailure.self) { try store.open(target, bytes: nil) }
    #expect(gone?.isNotFound == true)
  }

  @Test(arguments: Kind.allCases) func whatIsGivenUpIsNotThere(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    for isFinished in [false, true] {
      let target = try name("f", "given up")
      let writer = try store.write(target)
      try [UInt8](repeating: 7, count: 70_000).withUnsafeBytes { try writer.append($0) }
      if isFinished { try writer.finish() }
      writer.abort()
      #expect(try store.names(in: "f") == [] && store.read(target, maximum: 1 << 20) == nil)
    }
    try store.remove([try name("f", "never"), try name("h", "was"), try name(nil, "there")])
    try store.flushRemovals(in: "f")
  }

  @Test(arguments: Kind.allCases) func partsAreThoseOfTheWhole(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    let target = try name("f", "large")
    // More than any buffer on the way, and than two parts of an upload.
    let size = kind == .bucket ? 13_300_001 : 3_300_001
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
    try put(bytes, target, in: store)
    let file = try store.open(target, bytes: UInt64(bytes.count))
    for (start, count) in [(0, 1), (1, 4096), (size - 1, 10), (size, 5), (size + 99, 1)] {
      var part = [UInt8](repeating: 255, count: count)
      let taken = try part.withUnsafeMutableBytes { try file.read(at: UInt64(start), into: $0) }
      #expect(Array(part[..<taken]) == Array(bytes.dropFirst(start).prefix(count)))
    }
    #expect(try file.readEnd(10) == Array(bytes.suffix(10)) && file.readEnd(1 << 24) == bytes)
    var joined: [UInt8] = []
    try file.forEachPart { joined += $0 }
    #expect(joined == bytes)
    let copy = try name("g", "copy")
    try store.replace(copy, with: file)
    #expect(try contents(copy, in: store) == bytes)
    #expect(throws: (any Error).self) { try store.read(target, maximum: bytes.count - 1) }
    try put([], try name("f", "empty"), in: store)
    #expect(try store.read(try name("f", "empty"), maximum: 0) == [])
    #expect(try store.open(try name("f", "empty"), bytes: 0).readEnd(5) == [])
  }

  @Test(arguments: Kind.allCases) func whatIsTakenBackIsGoneOrStays(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    let target = try name("f", "a")
    let writer = try store.write(target)
    try [UInt8]("abcdef".utf8).withUnsafeBytes { try writer.append($0) }
    let isGone = try writer.takeBack(to: 2)
    #expect(writer.offset == (isGone ? 2 : 6))
    try [UInt8]("xy".utf8).withUnsafeBytes { try writer.append($0) }
    if let written = try writer.reader() { #expect(try written.readEnd(2) == Array("xy".utf8)) }
    try writer.finish()
    #expect(try contents(target, in: store) == Array((isGone ? "abxy" : "abcdefxy").utf8))
  }

  @Test(arguments: Kind.allCases) func aReplacementIsTheOldOrTheNew(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    let target = try name(nil, "top")
    let values = (0..<8).map { [UInt8](repeating: UInt8($0), count: 1000 + $0) }
    try store.replace(target, values[0])
    let wrong = Counter()
    try concurrently(8) { number in
      for turn in 0..<40 {
        if number < 3 {
          try? store.replace(target, values[(number + turn) % 8])
        } else if let found = try? store.read(target, maximum: 2000), values.contains(found) {
          continue
        } else {
          wrong.add(number)
        }
      }
    }
    #expect(wrong.all.isEmpty)
    #expect(try store.names(in: nil).contains("top"))
  }

  @Test(arguments: Kind.allCases) func aListHasWhatWasThereBeforeAndAfter(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    for number in 0..<50 { try store.touch(try name("f", "stays-\(number + 100)"), [1]) }
    let wrong = Counter()
    try concurrently(6) { number in
      for turn in 0..<30 {
        guard let own = ObjectName("f", "own-\(number)-\(turn)") else { return }
        if number < 3 {
          _ = try? store.create(own, [2])
          try? store.remove([own])
          continue
        }
        let names = (try? store.names(in: "f")) ?? []
        if names.filter({ $0.hasPrefix("stays-") }).count != 50 || names != names.sorted()
          || names.contains(where: { $0.hasPrefix(".") })
        {
          wrong.add(turn)
        }
      }
    }
    #expect(wrong.all.isEmpty)
    #expect(try store.list("f").map(\.name.file) == (0..<50).map { "stays-\($0 + 100)" })
    #expect(try store.names(in: "none") == [] && store.list("none") == [])
  }

  @Test(arguments: Kind.allCases) func timesAreThoseOfItsClock(_ kind: Kind) throws {
    let place = try Place(kind)
    defer { place.end() }
    let store = place.store
    let target = try name("f", "lease")
    let before = try store.now()
    try store.touch(target, [1])
    let first = try #require(try store.list("f").first)
    // A server's dates may be of whole seconds.
    let exactness = kind == .bucket ? 1.0 : 0
    usleep(kind == .bucket ? 1_100_000 : 20_000)
    try store.touch(target, [1, 2])
    let second = try #require(try store.list("f").first)
    let after = try store.now()
    #expect(before <= first.modified + exactness && first.modified < second.modified)
    #expect(second.modified <= after + exactness && second.bytes == 2)
    #expect(try store.unfinished(before: after + 1).isEmpty && store.names(in: nil).contains("f"))
  }

  /// What several threads found.
  final class Counter: @unchecked Sendable {
    private let monitor = Monitor()
    private var found: [Int] = []
    func add(_ number: Int) { monitor.update { found.append(number) } }
    var all: [Int] { monitor.update { found } }
  }
}

package import ByteIO

/// A store whose calls go wrong where somebody wants it, for tests: they are refused, their replies are
/// lost, what they write is torn, or they take effect only later.
package final class FaultyStore: Store {
  /// A call of a store, or of what it opened.
  package enum Call: String, Sendable, CaseIterable {
    case read, open, readPart, names, list, prepare, write, append, takeBack, finish, abort
    case create, canCreate, replace, touch, remove, flushRemovals, unfinished, now, scratch
  }

  /// What becomes of a call.
  package enum Fault: Sendable, CaseIterable {
    /// It does its work.
    case none
    /// It throws, and nothing is done.
    case refused
    /// All is done, and it throws: of `create` nobody knows then.
    case lostReply
    /// A part of what is being written is there, under its name, and it throws.
    case torn
    /// It throws, of `create` so that nobody knows, and the work is done later.
    case late
  }

  /// The error of a fault.
  package struct Failure: ExplainedError {
    /// The call that failed.
    package var call: Call
    /// See `ExplainedError`.
    package var failureKind: FailureKind { .inputOutput }
    /// See `ExplainedError`.
    package var explanation: String { "cannot \(call.rawValue): failed on purpose" }
  }

  /// Decides on a call of an object, or of a folder; may wait before it does.
  package typealias Decision = @Sendable (Call, ObjectName?) throws -> Fault
  /// Takes work that is to be done later.
  package typealias Delay = @Sendable (@escaping @Sendable () -> Void) -> Void

  private let inner: any Store
  private let decide: Decision
  private let later: Delay

  /// Makes calls of `inner` go wrong as `decide` wants it; `later` gets the work of late ones.
  package init(
    _ inner: any Store, later: @escaping Delay = { $0() }, decide: @escaping Decision
  ) {
    self.inner = inner
    self.decide = decide
    self.later = later
  }

  package var location: String { inner.location }

  /// A call that changes nothing.
  private func look<T>(_ call: Call, _ name: ObjectName? = nil, _ body: () throws -> T) throws -> T
  {
    if case .none = try decide(call, name) { return try body() }
    throw Failure(call: call)
  }

  /// A call that changes something; a late one is done before it throws, or not at all.
  private func change(_ call: Call, _ name: ObjectName? = nil, _ body: () throws -> Void) throws {
    switch try decide(call, name) {
    case .none: try body()
    case .refused, .late, .torn: throw Failure(call: call)
    case .lostReply:
      try body()
      throw Failure(call: call)
    }
  }

  package func read(_ name: ObjectName, maximum: Int) throws -> [UInt8]? {
    try look(.read, name) { try inner.read(name, maximum: maximum) }
  }

  package func open(_ name: ObjectName, bytes: UInt64?) throws -> any ObjectReader {
    let file = try look(.open, name) { try inner.open(name, bytes: bytes) }
    return FaultyReader(file, name, decide)
  }

  package func names(in folder: String?) throws -> [String] {
    try look(.names) { try inner.names(in: folder) }
  }

  package func list(_ folder: String?) throws -> [StoredObject] {
    try look(.list) { try inner.list(folder) }
  }

  package func prepare(_ folders: [String]) throws {
    try change(.prepare) { try inner.prepare(folders) }
  }

  package func write(_ name: ObjectName) throws -> any ObjectWriter {
    guard case .none = try decide(.write, name) else { throw Failure(call: .write) }
    return FaultyWriter(try inner.write(name), name, decide)
  }

  package func create(_ name: ObjectName, _ bytes: [UInt8]) throws -> Creation {
    switch try decide(.create, name) {
    case .none: return try inner.create(name, bytes)
    case .refused: throw Failure(call: .create)
    case .lostReply, .torn:
      _ = try inner.create(name, bytes)
      return .unsure(Failure(call: .create))
    case .late:
      later { [inner] in _ = try? inner.create(name, bytes) }
      return .unsure(Failure(call: .create))
    }
  }

  package func canCreate(in folder: String?) throws -> Bool {
    try look(.canCreate) { try inner.canCreate(in: folder) }
  }

  package func replace(_ name: ObjectName, _ bytes: [UInt8]) throws {
    try change(.replace, name) { try inner.replace(name, bytes) }
  }

  package func replace(_ name: ObjectName, with source: any ObjectReader) throws {
    try change(.replace, name) { try inner.replace(name, with: source) }
  }

  package func touch(_ name: ObjectName, _ bytes: [UInt8]) throws {
    try change(.touch, name) { try inner.touch(name, bytes) }
  }

  package func remove(_ names: [ObjectName]) throws {
    switch try decide(.remove, names.first) {
    case .none: try inner.remove(names)
    case .refused, .late: throw Failure(call: .remove)
    case .torn:
      try inner.remove(Array(names.prefix(names.count / 2)))
      throw Failure(call: .remove)
    case .lostReply:
      try inner.remove(names)
      throw Failure(call: .remove)
    }
  }

  package func flushRemovals(in folder: String) throws {
    try change(.flushRemovals) { try inner.flushRemovals(in: folder) }
  }

  package func unfinished(before: Double) throws -> [StoredObject] {
    try look(.unfinished) { try inner.unfinished(before: before) }
  }

  package func now() throws -> Double { try look(.now) { try inner.now() } }

  package func scratch() throws -> OutputFile? { try look(.scratch) { try inner.scratch() } }
}

private final class FaultyReader: ObjectReader {
  private let inner: any ObjectReader
  private let name: ObjectName
  private let decide: FaultyStore.Decision

  init(_ inner: any ObjectReader, _ name: ObjectName, _ decide: @escaping FaultyStore.Decision) {
    self.inner = inner
    self.name = name
    self.decide = decide
  }

  var path: String { inner.path }
  var bytes: UInt64 { inner.bytes }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard case .none = try decide(.readPart, name) else {
      throw FaultyStore.Failure(call: .readPart)
    }
    return try inner.read(at: offset, into: buffer)
  }
}

private final class FaultyWriter: ObjectWriter {
  private let inner: any ObjectWriter
  private let name: ObjectName
  private let decide: FaultyStore.Decision

  init(_ inner: any ObjectWriter, _ name: ObjectName, _ decide: @escaping FaultyStore.Decision) {
    self.inner = inner
    self.name = name
    self.decide = decide
  }

  var path: String { inner.path }
  var offset: UInt64 { inner.offset }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    switch try decide(.append, name) {
    case .none: try inner.append(bytes)
    case .refused, .late: throw FaultyStore.Failure(call: .append)
    case .lostReply, .torn:
      // A part is there, under the object's own name, as in a directory.
      try inner.append(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]))
      try inner.finish()
      throw FaultyStore.Failure(call: .append)
    }
  }

  func takeBack(to offset: UInt64) throws -> Bool {
    guard case .none = try decide(.takeBack, name) else {
      throw FaultyStore.Failure(call: .takeBack)
    }
    return try inner.takeBack(to: offset)
  }

  func reader() throws -> (any ObjectReader)? { try inner.reader() }

  func finish() throws {
    switch try decide(.finish, name) {
    case .none: try inner.finish()
    case .refused, .late: throw FaultyStore.Failure(call: .finish)
    case .lostReply, .torn:
      try inner.finish()
      throw FaultyStore.Failure(call: .finish)
    }
  }

  func abort() {
    guard case .none? = try? decide(.abort, name) else { return }
    inner.abort()
  }
}

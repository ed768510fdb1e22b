package import ByteIO
internal import Frames

/// A store in memory, for tests: all that is lasting here is so until the end of the process.
package final class MemoryStore: Store, @unchecked Sendable {
  private struct Object {
    var bytes: [UInt8]
    var modified: Double
  }

  package let location: String
  private let clock: @Sendable () -> Double
  private let onChange: @Sendable (Change, ObjectName) -> Void
  private let monitor = Monitor()
  private var objects: [ObjectName: Object] = [:]

  /// How an object changed.
  package enum Change: Sendable {
    case made, replaced, removed
  }

  /// Makes an empty one.
  ///
  /// - Parameters:
  ///   - location: what to call it.
  ///   - clock: its clock: seconds since 1970.
  ///   - onChange: told of each change, after it.
  package init(
    _ location: String = "memory", clock: @escaping @Sendable () -> Double = { Clock.now() },
    onChange: @escaping @Sendable (Change, ObjectName) -> Void = { _, _ in }
  ) {
    self.location = location
    self.clock = clock
    self.onChange = onChange
  }

  package func read(_ name: ObjectName, maximum: Int) throws -> [UInt8]? {
    let bytes = monitor.update { objects[name]?.bytes }
    if let bytes, bytes.count > maximum {
      throw FormatError(place(name), "it is over \(maximum) bytes long")
    }
    return bytes
  }

  package func open(_ name: ObjectName, bytes: UInt64?) throws -> any ObjectReader {
    guard let contents = monitor.update({ objects[name]?.bytes }) else {
      throw IOFailure(.open, "open", place(name), .noSuchFileOrDirectory)
    }
    guard UInt64(contents.count) == bytes ?? UInt64(contents.count) else {
      throw FormatError(place(name), "its size is not \(bytes ?? 0) bytes, as recorded")
    }
    return MemoryReader(place(name), contents)
  }

  package func names(in folder: String?) throws -> [String] {
    let files = try list(folder).map(\.name.file)
    guard folder == nil else { return files }
    let folders = monitor.update { Set(objects.keys.compactMap(\.folder)) }
    return (files + folders).sorted()
  }

  package func list(_ folder: String?) throws -> [StoredObject] {
    monitor.update {
      objects.filter { $0.key.folder == folder }.map {
        StoredObject(name: $0, bytes: UInt64($1.bytes.count), modified: $1.modified)
      }
    }.sorted { $0.name < $1.name }
  }

  package func write(_ name: ObjectName) throws -> any ObjectWriter {
    let isNew = monitor.update { objects[name] == nil }
    guard isNew else { throw IOFailure(.create, "create", place(name), .fileExists) }
    return MemoryWriter(place(name)) { [weak self] bytes in self?.put(name, bytes) }
  }

  package func create(_ name: ObjectName, _ bytes: [UInt8]) throws -> Creation {
    let isMade = monitor.update {
      guard objects[name] == nil else { return false }
      objects[name] = Object(bytes: bytes, modified: clock())
      return true
    }
    guard isMade else { return .exists }
    onChange(.made, name)
    return .made
  }

  package func prepare(_ folders: [String]) throws {}

  package func canCreate(in folder: String?) throws -> Bool { true }

  package func replace(_ name: ObjectName, _ bytes: [UInt8]) throws { put(name, bytes) }

  package func replace(_ name: ObjectName, with source: any ObjectReader) throws {
    var bytes: [UInt8] = []
    try source.forEachPart { bytes += $0 }
    put(name, bytes)
  }

  package func touch(_ name: ObjectName, _ bytes: [UInt8]) throws { put(name, bytes) }

  package func remove(_ names: [ObjectName]) throws {
    for name in names { put(name, nil) }
  }

  package func flushRemovals(in folder: String) throws {}
  package func unfinished(before: Double) throws -> [StoredObject] { [] }
  package func now() throws -> Double { clock() }
  package func scratch() throws -> OutputFile? { nil }

  private func place(_ name: ObjectName) -> String { "\(location)/\(name.path)" }

  private func put(_ name: ObjectName, _ bytes: [UInt8]?) {
    let old = monitor.update {
      defer { objects[name] = bytes.map { Object(bytes: $0, modified: clock()) } }
      return objects[name]
    }
    switch (old, bytes) {
    case (nil, nil): break
    case (nil, _?): onChange(.made, name)
    case (_?, nil): onChange(.removed, name)
    case (_?, _?): onChange(.replaced, name)
    }
  }
}

private final class MemoryReader: ObjectReader {
  let path: String
  private let contents: [UInt8]

  init(_ path: String, _ contents: [UInt8]) {
    self.path = path
    self.contents = contents
  }

  var bytes: UInt64 { UInt64(contents.count) }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard offset < bytes else { return 0 }
    let part = contents[Int(offset)...].prefix(buffer.count)
    part.withUnsafeBytes { buffer.copyMemory(from: $0) }
    return part.count
  }
}

private final class MemoryWriter: ObjectWriter {
  let path: String
  private let put: ([UInt8]?) -> Void
  private var contents: [UInt8] = []

  /// `put` makes an object of the bytes, and removes it if there are none.
  init(_ path: String, _ put: @escaping ([UInt8]?) -> Void) {
    self.path = path
    self.put = put
  }

  var offset: UInt64 { UInt64(contents.count) }
  func append(_ bytes: UnsafeRawBufferPointer) { contents += bytes }
  func takeBack(to offset: UInt64) -> Bool { false }
  func reader() -> (any ObjectReader)? { MemoryReader(path, contents) }
  func finish() { put(contents) }
  func abort() { put(nil) }
}

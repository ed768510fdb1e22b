import ByteIO
import Storage
import SystemPackage

/// A file system in memory that at a loss of power forgets what was not flushed.
///
/// Of names that were made, removed or changed in a folder since that was flushed, any may have come
/// to the disk and any not; of the bytes of a file since that was flushed, none, some, all, or zeros
/// in their place.
///
/// Source: Jayashree Mohan et al., Finding Crash-Consistency Bugs with Bounded Black-Box Crash
/// Testing, 2018 (CrashMonkey).
final class ModelDisk: @unchecked Sendable {
  /// What a name stands for.
  fileprivate enum Node {
    case file(File)
    case folder(Contents)
  }

  fileprivate final class File {
    let number: UInt64
    var bytes: [UInt8] = []
    var flushed: [UInt8]?
    var modified: Double

    init(_ number: UInt64, _ modified: Double) {
      self.number = number
      self.modified = modified
    }
  }

  /// A change of a folder's names.
  fileprivate enum Change {
    case add(String, Node)
    case remove(String)
    case move(String, String, Node)
  }

  fileprivate final class Contents {
    var names: [String: Node] = [:]
    var flushed: [String: Node] = [:]
    var changes: [Change] = []

    func apply(_ change: Change) {
      Self.apply(change, to: &names)
      changes.append(change)
    }

    static func apply(_ change: Change, to names: inout [String: Node]) {
      switch change {
      case .add(let name, let node): names[name] = node
      case .remove(let name): names[name] = nil
      case .move(let old, let new, let node):
        names[old] = nil
        names[new] = node
      }
    }
  }

  /// What each call gets after the loss.
  struct PowerLoss: Error {}

  private let root: Contents
  private var numbers: UInt64 = 0
  /// Calls that changed something so far.
  private(set) var calls = 0
  /// The call that is not made any more, nor any after it; nil for none.
  var end: Int?
  private var time = 1_800_000_000.0

  /// An empty one.
  init() { root = Contents() }

  private init(_ root: Contents, _ time: Double) {
    self.root = root
    self.time = time
  }

  /// Its root.
  var folder: any Folder { ModelFolder(self, root, "disk") }

  /// Its clock.
  func now() -> Double {
    time += 0.001
    return time
  }

  /// What is found after a loss of power, as the dice have it.
  func afterLoss(_ dice: inout Dice) -> ModelDisk {
    let disk = ModelDisk(Self.survivor(root, &dice), time + 1)
    disk.numbers = numbers
    return disk
  }

  private static func survivor(_ contents: Contents, _ dice: inout Dice) -> Contents {
    var names = contents.flushed
    // All, none, or any.
    let luck = dice.next() % 4
    for change in contents.changes where luck == 0 || (luck > 1 && dice.once(in: 2)) {
      Contents.apply(change, to: &names)
    }
    let result = Contents()
    for (name, node) in names.sorted(by: { $0.key < $1.key }) {
      switch node {
      case .folder(let inner): result.names[name] = .folder(survivor(inner, &dice))
      case .file(let file):
        let copy = File(file.number, file.modified)
        copy.bytes = file.flushed ?? []
        if file.flushed != file.bytes {
          let count = file.bytes.isEmpty ? 0 : Int(dice.next() % UInt64(file.bytes.count))
          switch dice.next() % 4 {
          case 0: break
          case 1: copy.bytes = Array(file.bytes[..<count])
          case 2: copy.bytes = [UInt8](repeating: 0, count: file.bytes.count)
          default: copy.bytes = file.bytes
          }
        }
        copy.flushed = copy.bytes
        result.names[name] = .file(copy)
      }
    }
    result.flushed = result.names
    return result
  }

  /// A call that changes something.
  fileprivate func call() throws {
    if let end, calls >= end { throw PowerLoss() }
    calls += 1
  }

  fileprivate func number() -> UInt64 {
    numbers += 1
    return numbers
  }
}

private final class ModelFolder: Folder, @unchecked Sendable {
  private let disk: ModelDisk
  private let contents: ModelDisk.Contents
  private let path: String

  init(_ disk: ModelDisk, _ contents: ModelDisk.Contents, _ path: String) {
    self.disk = disk
    self.contents = contents
    self.path = path
  }

  func place(_ name: String) -> String { "\(path)/\(name)" }
  func names() -> [String] { contents.names.keys.sorted() }

  func status(_ name: String) -> FileStatus? {
    switch contents.names[name] {
    case nil: nil
    case .folder: FileStatus(kind: .folder, number: 0, size: 0, modified: 0)
    case .file(let file):
      FileStatus(
        kind: .file, number: file.number, size: UInt64(file.bytes.count), modified: file.modified)
    }
  }

  func folder(_ name: String) throws -> any Folder {
    guard case .folder(let inner)? = contents.names[name] else { throw missing(name) }
    return ModelFolder(disk, inner, place(name))
  }

  func makeDirectory(_ name: String) throws -> Bool {
    if contents.names[name] != nil { return false }
    try disk.call()
    contents.apply(.add(name, .folder(ModelDisk.Contents())))
    try sync()
    return true
  }

  func reader(_ name: String) throws -> any FolderInput {
    guard case .file(let file)? = contents.names[name] else { throw missing(name) }
    return ModelInput(place(name), file.bytes)
  }

  func writer(_ name: String) throws -> any FolderOutput {
    guard contents.names[name] == nil else {
      throw IOFailure(.create, "create", place(name), .fileExists)
    }
    try disk.call()
    let file = ModelDisk.File(disk.number(), disk.now())
    contents.apply(.add(name, .file(file)))
    return ModelOutput(disk, file)
  }

  func rename(_ temporary: String, to name: String) throws {
    guard let node = contents.names[temporary] else { throw missing(temporary) }
    try disk.call()
    contents.apply(.move(temporary, name, node))
  }

  func claim(_ name: String, with temporary: String) throws -> Bool {
    guard let node = contents.names[temporary] else { throw missing(temporary) }
    if contents.names[name] != nil { return false }
    try disk.call()
    contents.apply(.add(name, node))
    return true
  }

  func canClaim() -> Bool { true }

  func remove(_ name: String) throws {
    guard contents.names[name] != nil else { return }
    try disk.call()
    contents.apply(.remove(name))
  }

  func sync() throws {
    try disk.call()
    contents.flushed = contents.names
    contents.changes = []
  }

  func scratchFile() -> OutputFile? { nil }

  private func missing(_ name: String) -> IOFailure {
    IOFailure(.open, "open", place(name), .noSuchFileOrDirectory)
  }
}

private final class ModelInput: FolderInput {
  let path: String
  private let bytes: [UInt8]

  init(_ path: String, _ bytes: [UInt8]) {
    self.path = path
    self.bytes = bytes
  }

  func size() -> UInt64? { UInt64(bytes.count) }

  func take(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let part = bytes.dropFirst(Int(clamping: offset)).prefix(buffer.count)
    part.withUnsafeBytes { buffer.copyMemory(from: $0) }
    return part.count
  }

  func copy(_ count: UInt64, at offset: UInt64, to file: OutputFile) throws {
    try Array(bytes.dropFirst(Int(offset)).prefix(Int(count))).withUnsafeBytes {
      try file.write($0)
    }
  }
}

private final class ModelOutput: FolderOutput {
  private let disk: ModelDisk
  private let file: ModelDisk.File

  init(_ disk: ModelDisk, _ file: ModelDisk.File) {
    self.disk = disk
    self.file = file
  }

  func add(_ bytes: UnsafeRawBufferPointer) throws {
    try disk.call()
    file.bytes += bytes
    file.modified = disk.now()
  }

  func cut(to size: UInt64) throws {
    try disk.call()
    file.bytes = Array(file.bytes.prefix(Int(size)))
  }

  func seal() throws {
    try disk.call()
    file.flushed = file.bytes
  }

  func shut() {}
}

internal import ByteIO
internal import Frames
internal import Storage

/// The packs of one stage: extents go into the last; a new one begins when it is large enough.
final class PackSet {
  /// So many fit into a stage record.
  private static let maximumPacks = 65_536

  private let stage: String
  private let store: any Store
  private let packSize: UInt64
  private let unfinished: UnfinishedObjects
  private var current: SealedFile?
  private var currentNumber = -1
  /// The finished packs.
  private(set) var entries: [FileEntry] = []
  /// All made so far, for one who has to remove them.
  private(set) var names: [ObjectName] = []

  init(
    stage: String, packSize: UInt64, unfinished: UnfinishedObjects, in store: any Store
  ) {
    self.stage = stage
    self.unfinished = unfinished
    self.packSize = packSize
    self.store = store
  }

  /// Number of the pack that the present volume goes into.
  var number: Int { currentNumber }

  /// Where in it the next extent begins.
  var offset: UInt64 { current?.size ?? 0 }

  /// Begins a volume: its extents will lie in one pack.
  func beginVolume() throws {
    if let pack = current, pack.size >= packSize { try finish(pack) }
    if current == nil {
      currentNumber += 1
      guard currentNumber < Self.maximumPacks else {
        throw FormatError(stage, "over \(Self.maximumPacks) packs; choose a larger --pack-size")
      }
      let name = Layout.pack(stage, currentNumber)
      names.append(name)
      current = try unfinished.making(name, in: store) {
        try SealedFile(
          name, in: store, magic: FileHeader.pack, stage: stage, number: currentNumber)
      }
    }
    current?.mark()
  }

  /// Appends to the present pack.
  func append(_ bytes: [UInt8]) throws {
    guard let current else { preconditionFailure("no volume was begun") }
    try current.append(bytes)
  }

  /// Takes back all extents of the present volume.
  func dropVolume() throws { try current?.rollBack() }

  /// Flushes and closes the last pack.
  func finish() throws {
    if let pack = current { try finish(pack) }
  }

  private func finish(_ pack: SealedFile) throws {
    entries.append(try pack.seal().entry(Layout.pack(stage, currentNumber)))
    current = nil
  }
}

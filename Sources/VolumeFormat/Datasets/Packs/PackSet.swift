internal import Frames
internal import ByteIO

/// The packs of one stage: extents go into the last; a new one begins when it is large enough.
final class PackSet {
  /// So many fit into a stage record.
  private static let maximumPacks = 65_536

  private let stage: String
  private let pathOfPack: (Int) -> String
  private let packSize: UInt64
  private let unfinished: UnfinishedFiles
  private var current: SealedFile?
  private var currentNumber = -1
  private(set) var seals: [FileSeal] = []
  /// All files made so far, for one who has to remove them.
  private(set) var paths: [String] = []

  init(
    stage: String, packSize: UInt64, unfinished: UnfinishedFiles = UnfinishedFiles(),
    pathOfPack: @escaping (Int) -> String
  ) {
    self.stage = stage
    self.unfinished = unfinished
    self.packSize = packSize
    self.pathOfPack = pathOfPack
  }

  /// Number of the pack that the present volume goes into.
  var number: Int { currentNumber }

  /// Where in it the next extent begins.
  var offset: UInt64 { current?.size ?? 0 }

  /// Begins a volume: its extents will lie in one pack.
  func beginVolume() throws {
    if let pack = current, pack.size >= packSize {
      seals.append(try pack.seal())
      current = nil
    }
    if current == nil {
      currentNumber += 1
      guard currentNumber < Self.maximumPacks else {
        throw FormatError(stage, "over \(Self.maximumPacks) packs; choose a larger --pack-size")
      }
      let path = pathOfPack(currentNumber)
      paths.append(path)
      current = try unfinished.making(path) {
        try SealedFile(
          creating: path, magic: FileHeader.pack, stage: stage, number: currentNumber)
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
    if let pack = current { seals.append(try pack.seal()) }
    current = nil
  }
}

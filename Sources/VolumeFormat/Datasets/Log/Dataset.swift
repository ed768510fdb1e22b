internal import ByteIO
internal import Frames
package import Storage

/// A dataset, wherever it is kept; see vol-dataset(5).
public struct Dataset: Sendable {
  /// Where its objects are.
  package let store: any Store
  /// The run that works on it.
  package let session: Session
  /// The id that all of its documents carry.
  public let id: String

  /// Where it is, for messages: a path or a URL.
  public var path: String { store.location }

  /// Opens the dataset in a directory.
  ///
  /// - Throws: `IOFailure` if there is no such directory; `DatasetError` if it is something else;
  ///   `FormatError` if it is damaged, or folders in it are links.
  public init(opening path: String) throws {
    try self.init(try Self.directory(path), Session())
  }

  /// Opens the dataset in a store.
  ///
  /// - Throws: `DatasetError` if there is none; `FormatError`; `IOFailure`.
  package init(_ store: any Store, _ session: Session) throws {
    self.store = store
    self.session = session
    guard let bytes = try store.read(Layout.marker, maximum: Self.maximumMarker) else {
      throw DatasetError.notADataset(store.location)
    }
    let source = "\(store.location)/\(Layout.marker.path)"
    id = try DatasetMarker(SealedDocument.parse(bytes, in: source)).datasetID
  }

  /// Opens the dataset in a directory, making it if there is nothing at `path` or an empty directory.
  ///
  /// Any number of processes may do this at once.
  ///
  /// - Throws: `DatasetError` if there is something else; `FormatError`; `IOFailure`.
  public static func create(_ path: String) throws -> Dataset {
    try Publishing.makeDirectories(path)
    return try create(try directory(path), Session())
  }

  /// The same in a store.
  ///
  /// - Throws: `DatasetError` if there is something else; `FormatError`; `IOFailure`.
  package static func create(_ store: any Store, _ session: Session) throws -> Dataset {
    if try store.read(Layout.marker, maximum: maximumMarker) == nil {
      try makeMarker(store, session)
    }
    let dataset = try Dataset(store, session)
    try store.prepare(Layout.folders)
    return dataset
  }

  private static let maximumMarker = 1 << 16

  private static func directory(_ path: String) throws -> DirectoryStore {
    try DirectoryStore(path, folders: Layout.folders, files: [Layout.head.file])
  }

  private static func makeMarker(_ store: any Store, _ session: Session) throws {
    let others = try store.names(in: nil).filter { $0 != Layout.marker.file }
    if let other = others.first {
      // Another creator may have come in between, and gone on to make its folders.
      if try store.read(Layout.marker, maximum: maximumMarker) != nil { return }
      throw DatasetError.obstructed(store.location, by: other)
    }
    let marker = DatasetMarker(
      datasetID: session.identifier(), created: session.timestamp())
    do {
      switch try store.create(Layout.marker, SealedDocument.encode(marker.json)) {
      // Where the name is taken, another process was first, and its marker counts.
      case .made, .exists: break
      case .unflushed(let error): throw error
      case .unsure(let error):
        // Whoever's it is that is there, all who come now find the same.
        guard try store.read(Layout.marker, maximum: maximumMarker) != nil else { throw error }
      }
    } catch let failure as IOFailure where failure.isNoSuchStep {
      throw DatasetError.noClaims(store.location)
    }
  }

  // MARK: Objects

  /// What to call an object in a message.
  package func place(_ name: ObjectName) -> String { "\(path)/\(name.path)" }

  /// What to call a file of the dataset in a message.
  public func name(of entry: FileEntry) -> String { place(entry.name) }

  /// Opens a file that must have the size that was recorded.
  ///
  /// - Throws: `FormatError` if it has not; `IOFailure`.
  package func open(_ entry: FileEntry) throws -> any ObjectReader {
    try store.open(entry.name, bytes: entry.bytes)
  }

  /// Reads a file whole and compares its digest with the one recorded.
  ///
  /// - Parameters:
  ///   - entry: the file.
  ///   - consequence: what the message says behind the fault.
  /// - Throws: `FormatError` if it is another; `IOFailure`.
  package func checkDigest(of entry: FileEntry, consequence: String = "") throws {
    let file = try store.open(entry.name, bytes: nil)
    guard try FileSeal(of: file).sha256 == entry.sha256 else {
      throw FormatError(
        file.path, "it does not match the SHA-256 that was recorded\(consequence)")
    }
  }

  /// A file for this process alone, beside the dataset where that has room for such.
  ///
  /// - Throws: `IOFailure`.
  func scratch() throws -> OutputFile {
    try store.scratch() ?? OutputFile(scratchIn: temporaryDirectory())
  }

  // MARK: Snapshots

  /// The numbers of all snapshots, in order.
  ///
  /// - Throws: `IOFailure`.
  public func snapshotNumbers() throws -> [UInt64] {
    try store.names(in: Layout.manifests).compactMap(Layout.manifestNumber).sorted()
  }

  /// The manifest of snapshot `number`, or of the last one; nil if there is none.
  ///
  /// - Throws: `FormatError` if it is damaged; `IOFailure`.
  public func manifest(_ number: UInt64? = nil) throws -> Manifest? {
    guard let number else {
      return try lastManifest().map { try decodeManifest($0.bytes, $0.number) }
    }
    return try manifestBytes(number).map { try decodeManifest($0, number) }
  }

  /// The last snapshot's number, and its manifest as it stands in its file; nil if there is none.
  ///
  /// One that goes between the listing and the reading has a successor: a dataset that has snapshots
  /// is never taken for one that has none.
  ///
  /// - Throws: `FormatError` if it is too long; `IOFailure`, also where what is listed is not there.
  func lastManifest() throws -> (number: UInt64, bytes: [UInt8])? {
    try listing { numbers in
      guard let number = numbers.last else { return .some(nil) }
      return try manifestBytes(number).map { (number, $0) }
    }
  }

  /// Visits the snapshots that are there, in order.
  ///
  /// Where the last goes between the listing and the reading, those that follow it are visited, too.
  ///
  /// - Parameters:
  ///   - first: the number of the first.
  ///   - body: gets each manifest.
  /// - Throws: `FormatError` if one is damaged; `IOFailure`, also where what is listed is not there;
  ///   what `body` throws.
  public func forEachManifest(from first: UInt64 = 1, _ body: (Manifest) throws -> Void) throws {
    var next = max(1, first)
    try listing { numbers -> Void? in
      for number in numbers where number >= next {
        guard let manifest = try manifest(number) else { continue }
        try body(manifest)
        next = number + 1
      }
      return numbers.last ?? 0 < next ? () : nil
    }
  }

  /// Lists the snapshots until `look` has found the last of them; it returns nil where that is gone.
  private func listing<T>(_ look: ([UInt64]) throws -> T?) throws -> T {
    var gone: UInt64 = 0
    for attempt in 0..<20 {
      let numbers = try snapshotNumbers()
      if let found = try look(numbers) { return found }
      if attempt > 0 { session.pause(0.05) }
      gone = numbers.last ?? 0
    }
    throw IOFailure(.open, "read", place(Layout.manifest(gone)), .noSuchFileOrDirectory)
  }

  /// The manifest of snapshot `number` that these bytes are.
  func decodeManifest(_ bytes: [UInt8], _ number: UInt64) throws -> Manifest {
    let source = place(Layout.manifest(number))
    let manifest = try Manifest(SealedDocument.parse(bytes, in: source))
    guard manifest.datasetID == id else { throw FormatError(source, "it is of another dataset") }
    if let defect = manifest.defect(number: number) { throw FormatError(source, defect) }
    return manifest
  }

  /// The manifest of snapshot `number` as it stands in its file; nil if there is none.
  ///
  /// - Throws: `FormatError` if it is too long; `IOFailure`.
  public func manifestBytes(_ number: UInt64) throws -> [UInt8]? {
    try store.read(Layout.manifest(number), maximum: Manifest.maximumSize)
  }

  /// Throws unless snapshot `number` has the digest that is given, and snapshot `last` is it or
  /// descends from it.
  ///
  /// - Throws: `FormatError`: what was rolled back to an earlier state, or is another dataset, shows
  ///   so; `IOFailure`.
  public func require(_ number: UInt64, sha256: String?, before last: UInt64) throws {
    let source = place(Layout.manifest(number))
    guard number <= last, let bytes = try manifestBytes(number) else {
      throw FormatError(
        path,
        "it is at snapshot \(last), and has no snapshot \(number) as expected: was it "
          + "rolled back?")
    }
    var digest = SHA256.digits(of: bytes)
    guard sha256 ?? digest == digest else {
      throw FormatError(source, "it is not the snapshot \(number) that was expected")
    }
    var next = number
    while next < last {
      next += 1
      guard let bytes = try manifestBytes(next) else {
        throw FormatError(
          path, "snapshot \(next) is gone, so that nothing leads from \(number) to \(last)")
      }
      guard try decodeManifest(bytes, next).parent?.sha256 == digest else {
        throw FormatError(
          place(Layout.manifest(next)), "its parent is not the snapshot \(next - 1) that is there")
      }
      digest = SHA256.digits(of: bytes)
    }
  }

  /// The digest of the manifest of snapshot `number`; nil if there is none.
  ///
  /// - Throws: `FormatError` if it is too long; `IOFailure`.
  public func digest(ofSnapshot number: UInt64) throws -> String? {
    try manifestBytes(number).map(SHA256.digits)
  }

  /// What `HEAD` holds; nil if it does not exist.
  func hint() throws -> [UInt8]? { try store.read(Layout.head, maximum: 128) }
}

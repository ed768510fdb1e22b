import ByteIO
import SystemPackage
import DatasetSupport
import Storage
import ToolSupport
import Datasets
import Frames

/// A Zarr v3 store that is being made beside its place, and gets its name when it is whole.
///
/// Volumes come as to any sink, so that all their voxels are verified; what is then written are
/// the bytes of their shards as they lie in the packs.
final class ZarrStore: StoredVolumeSink {
  private let path: String
  private let temporary: String
  private let snapshot: Snapshot
  private var current: (header: VolumeHeader, record: CatalogRecord, stage: Stage)?
  private var pack: (entry: FileEntry, file: any ObjectReader)?

  /// Makes a folder beside `path`, with the group of a collection, or of all.
  ///
  /// - Throws: `ToolFailure` if there is something at `path`; `IOFailure`.
  init(_ path: String, _ snapshot: Snapshot, collection: ExactString?) throws {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    if try FileStatus(FilePath(path), following: false) != nil {
      throw ToolFailure(.cannotCreate, "cannot create '\(path)': it exists")
    }
    self.path = path
    self.snapshot = snapshot
    let parent = Publishing.parent(of: path)
    try Publishing.makeDirectories(parent)
    temporary = "\(parent)/.vol-export-\(randomIdentifier())"
    try makeNode("")
    do {
      try write(ZarrNode.group(about), "zarr.json")
      for name in snapshot.manifest.collections.keys where name == collection ?? name {
        try makeGroup(name)
      }
    } catch {
      remove()
      throw error
    }
  }

  private var about: JSONObject {
    [
      "dataset_id": .text(snapshot.manifest.datasetID),
      "snapshot": .integer(snapshot.manifest.snapshot),
    ]
  }

  /// The volume gets its folder, which must be new, before its voxels are read.
  func open(_ header: VolumeHeader, _ record: CatalogRecord, of stage: Stage) throws {
    current = (header, record, stage)
    try makeNode(node(record, stage))
  }

  func extra(_ bytes: [UInt8], afterVoxels: Bool) {}
  func data(_ bytes: UnsafeMutableRawBufferPointer) {}
  func drop(reason: String) {}
  func end(skipped: UInt64) {}
  var voxelCRC: UInt32? { nil }

  /// The volume is what was stored: its shard is copied.
  func close() throws {
    guard let (header, record, stage) = current else { return }
    let node = node(record, stage)
    let key = "\(node)/\(ZarrNode.chunkKey(header))"
    try Publishing.makeDirectories("\(temporary)/\(Publishing.parent(of: key))")
    let entry = stage.packs[record.pack]
    if pack?.entry != entry { pack = (entry, try snapshot.dataset.open(entry)) }
    guard let pack else { return }
    let file = try OutputFile(creating: "\(temporary)/\(key)")
    try pack.file.copy(record.shardLength, at: record.shardOffset, to: file)
    try file.sync()
    try file.close()
    try write(ZarrNode.array(header, record), "\(node)/zarr.json")
  }

  /// Gives the store its name.
  func publish() throws {
    guard try FileStatus(FilePath(path), following: false) == nil else {
      throw ToolFailure(.cannotCreate, "cannot create '\(path)': it exists by now")
    }
    try Publishing.rename(temporary, to: path)
  }

  /// Takes all back.
  func remove() { try? Publishing.removeTree(temporary) }

  private func makeGroup(_ name: ExactString) throws {
    var attributes = about
    attributes["collection"] = .string(name)
    try makeNode(ZarrNode.name(name))
    try write(ZarrNode.group(attributes), "\(ZarrNode.name(name))/zarr.json")
  }

  private func node(_ record: CatalogRecord, _ stage: Stage) -> String {
    "\(ZarrNode.name(stage.collection))/\(ZarrNode.name(record.obsID))"
  }

  /// Makes the folder of a group or an array.
  ///
  /// - Throws: `ToolFailure` if it is there: the file system then takes two names for one.
  private func makeNode(_ name: String) throws {
    let folder = name.isEmpty ? temporary : "\(temporary)/\(name)"
    if try Publishing.makeNewDirectory(folder) { return }
    let other = try otherPath(of: FilePath(folder))?.lastComponent?.string
    throw ToolFailure(
      .cannotCreate,
      "cannot create '\(name)' in '\(path)': "
        + (other.map { "the file system takes it for '\($0)', which is there already" }
          ?? "it is there already"))
  }

  private func write(_ document: [UInt8], _ name: String) throws {
    try Publishing.write(document, to: "\(temporary)/\(name)")
  }
}

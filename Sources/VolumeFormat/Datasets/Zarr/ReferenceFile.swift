internal import Frames
public import ByteIO

/// Writes a kerchunk reference file, version 1: every Zarr node inline, and for each volume where
/// its shard lies in a pack.
///
/// Source: kerchunk's specification of references, version 1.
public struct ReferenceFile {
  private let snapshot: Snapshot
  private let location: String
  private let output: ([UInt8]) throws -> Void

  /// Prepares a file.
  ///
  /// - Parameters:
  ///   - snapshot: whose volumes it is about.
  ///   - location: where readers find the dataset: a path or a URL without a slash at its end.
  ///   - output: gets pieces of the file.
  public init(
    _ snapshot: Snapshot, location: String, to output: @escaping ([UInt8]) throws -> Void
  ) {
    self.snapshot = snapshot
    self.location = location
    self.output = output
  }

  /// Writes it, for a collection or for all.
  ///
  /// - Parameters:
  ///   - collection: its name; nil for all.
  ///   - ids: those of its volumes that are wanted; all if there are none.
  /// - Returns: the first of the ids that the collection does not hold, nothing being written then.
  /// - Throws: `FormatError` for damage; `IOFailure`; what `output` throws.
  public func write(collection: ExactString?, ids: [ExactString]) throws -> ExactString? {
    var found: [(Stage, CatalogRecord)] = []
    for id in ids {
      guard let collection, let volume = try snapshot.volume(id, collection: collection) else {
        return id
      }
      found.append(volume)
    }
    let about: JSONObject = [
      "dataset_id": .text(snapshot.manifest.datasetID),
      "snapshot": .integer(snapshot.manifest.snapshot),
    ]
    try put("{\"version\":1,\"templates\":{\"u\":\(text(location))},\"refs\":{")
    let groups = snapshot.manifest.collections.keys.sorted()
      .filter { $0 == collection ?? $0 }
      .map { name in
        var attributes = about
        attributes["collection"] = .string(name)
        return (ZarrNode.name(name), ZarrNode.group(attributes))
      }
    func forEachVolume(_ body: (Volume) throws -> Void) throws {
      for (stage, record) in found { try body(try volume(stage, record)) }
      guard ids.isEmpty else { return }
      try snapshot.forEachVolume(collection: collection) { stage, record in
        try body(try volume(stage, record))
        return true
      }
    }
    try put("\(text("zarr.json")):")
    try putRoot(ZarrNode.group(about), groups) { add in
      try forEachVolume { try add($0.node, $0.array) }
    }
    for (name, group) in groups { try put(",\n\(text("\(name)/zarr.json")):\(inline(group))") }
    try forEachVolume { volume in
      try put(",\n\(text("\(volume.node)/zarr.json")):\(inline(volume.array))")
      try put(",\n\(text("\(volume.node)/\(volume.chunkKey)")):\(volume.place)")
    }
    try put("}}\n")
    return nil
  }

  /// What the file says of a volume.
  private struct Volume {
    var node: String
    /// The metadata of its array.
    var array: [UInt8]
    var chunkKey: String
    /// Where its shard lies, as JSON.
    var place: String
  }

  private func volume(_ stage: Stage, _ record: CatalogRecord) throws -> Volume {
    let source = snapshot.dataset.name(of: stage.catalog)
    guard stage.packs.indices.contains(record.pack) else {
      throw FormatError(
        source, volume: record.obsID.string, "it lies in pack \(record.pack), which its stage lacks"
      )
    }
    var header = try record.header(in: source)
    header.obsID = record.obsID
    let pack = text("{{u}}/\(stage.packs[record.pack].path)")
    return Volume(
      node: "\(ZarrNode.name(stage.collection))/\(ZarrNode.name(record.obsID))",
      array: ZarrNode.array(header, record), chunkKey: ZarrNode.chunkKey(header),
      place: "[\(pack),\(record.shardOffset),\(record.shardLength)]")
  }

  /// Writes the root's metadata as a string, with those of all nodes below, by which readers list
  /// what there is.
  private func putRoot(
    _ group: [UInt8], _ groups: [(name: String, document: [UInt8])],
    _ forEachArray: ((String, [UInt8]) throws -> Void) throws -> Void
  ) throws {
    func escaped(_ document: [UInt8]) -> String { String(inline(document).dropFirst().dropLast()) }
    var separator = ""
    func add(_ name: String, _ document: [UInt8]) throws {
      try put(separator + escaped(Array("\(text(name)):".utf8) + document))
      separator = ","
    }
    let start =
      ",\"consolidated_metadata\":{\"kind\":\"inline\",\"must_understand\":false,"
      + "\"metadata\":{"
    try put("\"" + escaped(group.dropLast() + Array(start.utf8)))
    for (name, document) in groups { try add(name, document) }
    try forEachArray(add)
    try put("}}}\"")
  }

  private func put(_ text: String) throws { try output(Array(text.utf8)) }

  private func text(_ value: String) -> String {
    String(decoding: JSON.encode(.text(value)), as: UTF8.self)
  }

  /// A document as a string in another.
  private func inline(_ document: [UInt8]) -> String {
    text(String(decoding: document, as: UTF8.self))
  }
}

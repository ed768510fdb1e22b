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
    try put("\(text("zarr.json")):\(inline(ZarrNode.group(about)))")
    for name in snapshot.manifest.collections.keys.sorted() where name == collection ?? name {
      var attributes = about
      attributes["collection"] = .string(name)
      let group = inline(ZarrNode.group(attributes))
      try put(",\n\(text("\(ZarrNode.name(name))/zarr.json")):\(group)")
    }
    if ids.isEmpty {
      try snapshot.forEachVolume(collection: collection) { stage, record in
        try add(stage, record)
        return true
      }
    } else {
      for (stage, record) in found { try add(stage, record) }
    }
    try put("}}\n")
    return nil
  }

  private func add(_ stage: Stage, _ record: CatalogRecord) throws {
    let source = snapshot.dataset.file(stage.catalog.path)
    guard stage.packs.indices.contains(record.pack) else {
      throw FormatError(
        source, volume: record.obsID.string, "it lies in pack \(record.pack), which its stage lacks"
      )
    }
    var header = try record.header(in: source)
    header.obsID = record.obsID
    let node = "\(ZarrNode.name(stage.collection))/\(ZarrNode.name(record.obsID))"
    let pack = text("{{u}}/\(stage.packs[record.pack].path)")
    let array = inline(ZarrNode.array(header, record))
    try put(",\n\(text("\(node)/zarr.json")):\(array)")
    try put(
      ",\n\(text("\(node)/\(ZarrNode.chunkKey(header))")):"
        + "[\(pack),\(record.shardOffset),\(record.shardLength)]")
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

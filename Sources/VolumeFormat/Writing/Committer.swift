internal import ByteIO
internal import Glibc

/// Makes finished stages visible: one snapshot, all of them or none.
public struct Committer {
  /// Why there is no new snapshot, other than bad data and failed calls.
  public enum Refusal: Error, Sendable {
    /// No finished stage is there, or not the one named.
    case nothingStaged(String)
    /// Other committers were always faster.
    case lostRaces(Int)
  }

  private static let attempts = 200

  private let dataset: Dataset
  private let tool: String

  /// Prepares commits to `dataset`; `tool` is program and version, for the manifest.
  public init(_ dataset: Dataset, tool: String) {
    self.dataset = dataset
    self.tool = tool
  }

  /// Commits the stages named, or all that are finished.
  ///
  /// - Returns: the new snapshot.
  /// - Throws: `Refusal`; `FormatError` for damage and for an id that occurs twice, with both
  ///   sources named; `IOFailure`.
  public func commit(_ names: [String], metadata: [String: JSONValue]) throws -> Manifest {
    var verified: Set<String> = []
    for attempt in 0..<Self.attempts {
      if attempt > 0 { usleep(UInt32.random(in: 1_000...(20_000 + 2_000 * UInt32(attempt)))) }
      let head = try dataset.manifest()
      try forgetCommitted(head)
      let stages = try select(names, head)
      try check(stages, head, &verified)
      let manifest = try manifest(of: stages, on: head, metadata)
      if try publish(manifest) {
        try? refreshHead()
        // Those whose removal fails are recognised as committed by whoever comes next.
        for stage in stages { try? Publishing.remove(dataset.file(Layout.stage(stage.stage))) }
        return manifest
      }
    }
    throw Refusal.lostRaces(Self.attempts)
  }

  // MARK: Steps

  /// Removes the records of stages which the current snapshot holds.
  ///
  /// They must be gone before a later snapshot may leave such a stage out, or it would come back.
  private func forgetCommitted(_ head: Manifest?) throws {
    let committed = Set(head?.stages.map(\.stage) ?? [])
    for stage in try dataset.stageIDs() where committed.contains(stage) {
      try Publishing.remove(dataset.file(Layout.stage(stage)))
    }
  }

  private func select(_ names: [String], _ head: Manifest?) throws -> [Stage] {
    guard names.isEmpty else { return try selectNamed(names, head) }
    let pending = try dataset.pendingStages(besides: head)
    guard !pending.isEmpty else {
      // A committer that was killed may have left the hint behind.
      try? refreshHead()
      throw Refusal.nothingStaged("in '\(dataset.path)': no finished stage; did vol-write succeed?")
    }
    return pending
  }

  private func selectNamed(_ names: [String], _ head: Manifest?) throws -> [Stage] {
    var result: [Stage] = []
    for name in names where !result.contains(where: { $0.stage == name }) {
      if head?.stages.contains(where: { $0.stage == name }) == true {
        throw Refusal.nothingStaged(
          "in '\(dataset.path)': stage '\(name)' is committed already")
      }
      guard Names.isHexadecimal(name, count: 32), let stage = try dataset.stage(name) else {
        throw Refusal.nothingStaged(
          "in '\(dataset.path)': no finished stage '\(name)'; vol-ls --staged lists them")
      }
      result.append(stage)
    }
    return result.sorted { ($0.created, $0.stage) < ($1.created, $1.stage) }
  }

  /// Checks that all files are there, that catalogs are whole, and that no id occurs twice.
  ///
  /// Packs were flushed by their writer; reading them again would cost as much as writing them.
  private func check(
    _ stages: [Stage], _ head: Manifest?, _ verified: inout Set<String>
  ) throws {
    var keys: [(key: CatalogKey, stage: Int)] = []
    let names = ((head?.stages ?? []) + stages).map(\.collection)
    if let (one, other) = Names.firstSpeltTwoWays(names) {
      throw FormatError(
        dataset.path,
        "collections '\(one)' and '\(other)' differ only in how Unicode spells them")
    }
    for (number, stage) in stages.enumerated() {
      for pack in stage.packs {
        guard try InputFile(dataset.file(pack.path)).size() == pack.bytes else {
          throw FormatError(
            dataset.file(pack.path), "its size is not \(pack.bytes) bytes, as its stage recorded")
        }
      }
      let catalog = try dataset.catalog(stage)
      // Files never change: who lost a race need not read them whole again.
      if verified.insert(stage.stage).inserted,
        try FileSeal(of: catalog.path).sha256 != stage.catalog.sha256
      {
        throw FormatError(catalog.path, "it does not match the SHA-256 that its stage recorded")
      }
      guard catalog.count == stage.volumes else {
        throw FormatError(catalog.path, "it holds \(catalog.count) volumes, not \(stage.volumes)")
      }
      try catalog.forEachKey { key, _ in keys.append((key, number)) }
    }
    keys.sort { $0.key < $1.key }
    for (first, second) in zip(keys, keys.dropFirst()) where first.key == second.key {
      throw try duplicate(first.key, stages[first.stage], stages[second.stage])
    }
    for old in head?.stages ?? [] {
      if let (key, stage) = try firstCommon(keys, old) {
        throw try duplicate(key, old, stages[stage])
      }
    }
  }

  /// The first of the sorted `keys` that the committed stage `old` holds too.
  private func firstCommon(
    _ keys: [(key: CatalogKey, stage: Int)], _ old: Stage
  ) throws -> (CatalogKey, Int)? {
    let catalog = try dataset.catalog(old)
    // A look costs a page or two; all pages in turn are cheaper if there are many looks.
    if keys.count < catalog.pages {
      for (key, stage) in keys where try catalog.blockOffset(of: key) != nil { return (key, stage) }
      return nil
    }
    var next = 0
    var found: (CatalogKey, Int)?
    try catalog.forEachKey { key, _ in
      while next < keys.count, keys[next].key < key { next += 1 }
      if found == nil, next < keys.count, keys[next].key == key { found = keys[next] }
    }
    return found
  }

  private func duplicate(_ key: CatalogKey, _ first: Stage, _ second: Stage) throws -> FormatError {
    func describe(_ stage: Stage) throws -> (id: String, text: String) {
      let catalog = try dataset.catalog(stage)
      guard let record = try catalog.record(key) else { return ("?", "stage \(stage.stage)") }
      let header = try record.header(in: catalog.path)
      let origin = header.source?.path ?? header.name ?? "an unnamed source"
      return (record.obsID, "'\(origin)' (collection \(stage.collection), stage \(stage.stage))")
    }
    let (id, one) = try describe(first)
    let (_, other) = try describe(second)
    return FormatError(
      dataset.path, "the id '\(id)' stands for two volumes, \(one) and \(other); nothing committed")
  }

  private func manifest(
    of stages: [Stage], on head: Manifest?, _ metadata: [String: JSONValue]
  ) throws -> Manifest {
    var parent: Manifest.Parent?
    if let head {
      guard let bytes = try dataset.manifestBytes(head.snapshot) else {
        throw FormatError(dataset.path, "snapshot \(head.snapshot) has gone")
      }
      let digest = bytes.withUnsafeBytes { hexadecimal(SHA256.of($0)) }
      parent = Manifest.Parent(snapshot: head.snapshot, sha256: digest)
    }
    guard head?.snapshot != Layout.maximumSnapshot else {
      throw FormatError(dataset.path, "it has as many snapshots as can be numbered")
    }
    let all = (head?.stages ?? []) + stages
    guard let totals = Manifest.totals(of: all) else {
      throw FormatError(dataset.path, "its volumes have more bytes than can be counted")
    }
    return Manifest(
      datasetID: dataset.id, snapshot: (head?.snapshot ?? 0) + 1, parent: parent,
      commitID: randomIdentifier(), created: timestamp(), tool: tool, metadata: metadata,
      collections: totals, stages: all)
  }

  /// Creates the manifest unless its number is taken.
  private func publish(_ manifest: Manifest) throws -> Bool {
    let bytes = try JSON.encode(manifest, pretty: true) + [0x0A]
    guard bytes.count <= Manifest.maximumSize else {
      throw FormatError(dataset.path, "its manifest would be over 64 MiB: it has too many stages")
    }
    let temporary = dataset.file(Layout.temporary(Layout.manifests, manifest.commitID))
    try Publishing.write(bytes, to: temporary)
    let result = Result {
      try Publishing.link(temporary, to: dataset.file(Layout.manifest(manifest.snapshot)))
    }
    try? Publishing.remove(temporary)
    return try result.get()
  }

  /// Writes the number of the last snapshot to `HEAD`, a hint.
  private func refreshHead() throws {
    while let last = try dataset.snapshotNumbers().last {
      let bytes = Array("\(last)\n".utf8)
      if try dataset.hint() != bytes {
        let temporary = dataset.file(Layout.temporary(".", "HEAD-\(randomIdentifier())"))
        try Publishing.write(bytes, to: temporary)
        try Publishing.rename(temporary, to: dataset.file(Layout.head))
      }
      // Another committer may have written an older number after ours.
      if try dataset.snapshotNumbers().last == last { return }
    }
  }
}

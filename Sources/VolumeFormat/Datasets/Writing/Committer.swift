internal import Storage
public import Frames
internal import ByteIO

/// Makes finished stages visible: one snapshot, all of them or none.
public struct Committer {
  private let dataset: Dataset
  private let log: SnapshotLog

  /// Prepares commits to `dataset`; `tool` is program and version, for the manifest.
  public init(_ dataset: Dataset, tool: String) {
    self.dataset = dataset
    log = SnapshotLog(dataset: dataset, tool: tool)
  }

  /// What was committed.
  public struct Result: Sendable {
    /// The new snapshot.
    public var manifest: Manifest
    /// The stages of volumes that are new in it.
    public var stages: [Stage]
    /// Whether a subject table is new in it.
    public var hasNewTable: Bool
    /// Why records were left out that cannot be read.
    public var damage: [any Error]
  }

  /// Commits the stages named, volumes' and subject tables', or all that are finished and whose
  /// record can be read.
  ///
  /// - Parameters:
  ///   - names: stages; none for all.
  ///   - metadata: the snapshot's.
  ///   - expected: what the current snapshot must be; nil if any may.
  ///   - strict: whether every volume must have a subject with a row, and every subject volumes.
  /// - Returns: the new snapshot and what is new in it.
  /// - Throws: `CommitRefusal`; `FormatError` for damage and for an id that occurs twice, with both
  ///   sources named; `IOFailure`.
  public func commit(
    _ names: [String], metadata: JSONObject, expecting expected: ExpectedSnapshot? = nil,
    strict: Bool = false
  ) throws -> Result {
    var verified: Set<String> = []
    var taken: [Stage] = []
    var tables: [SubjectStage] = []
    var damage: [any Error] = []
    let reviser = CatalogReviser(dataset)
    let merger = SubjectMerger(dataset)
    do {
      let manifest = try log.advance(expecting: expected, metadata: metadata) { head in
        (taken, tables, damage) = try select(names, head)
        let replaced = try check(taken, head, &verified)
        var stages: [Stage] = []
        for (old, keys) in zip(head?.stages ?? [], replaced) {
          if keys.isEmpty {
            stages.append(old)
          } else if let revised = try reviser.revise(old, without: keys) {
            stages.append(revised)
          }
        }
        for var stage in taken {
          stage.replaces = nil
          stage.run = nil
          stages.append(stage)
        }
        let subjects = try merger.merge(tables, into: head?.subjects)
        if strict, let subjects { try requireMatch(stages, subjects, tables) }
        return .init(
          stages: stages, subjects: subjects, records: records(of: taken, tables))
      }
      try? reviser.removeUnused(besides: manifest.stages)
      try? merger.removeUnused(besides: manifest.subjects)
      // Those whose removal fails are recognised as committed by whoever comes next.
      try? dataset.store.remove(records(of: taken, tables))
      return Result(manifest: manifest, stages: taken, hasNewTable: !tables.isEmpty, damage: damage)
    } catch let unsure as UnsureCommit {
      throw unsure
    } catch {
      try? reviser.removeUnused(besides: [])
      try? merger.removeUnused(besides: nil)
      throw error
    }
  }

  // MARK: Steps

  private func records(of stages: [Stage], _ tables: [SubjectStage]) -> [ObjectName] {
    stages.map { dataset.record(of: $0.stage, Stage.self) }
      + tables.map { dataset.record(of: $0.stage, SubjectStage.self) }
  }

  private func select(
    _ names: [String], _ head: Manifest?
  ) throws -> (stages: [Stage], tables: [SubjectStage], damage: [any Error]) {
    guard names.isEmpty else {
      let (stages, tables) = try selectNamed(names, head)
      return (stages, tables, [])
    }
    let pending = try dataset.pending(besides: head)
    guard !pending.stages.isEmpty || !pending.tables.isEmpty else {
      guard pending.damage.isEmpty else { throw CommitRefusal.unreadable(pending.damage) }
      if let stage = pending.cut.first, let run = stage.run {
        throw CommitRefusal.nothingStaged(
          "in '\(dataset.path)': \(counted(pending.cut.count, "stage")) of \(run.stages) that one "
            + "vol-write was to write are there; is it still at work?")
      }
      // A committer that was killed may have left the hint behind.
      try? log.refreshHead()
      throw CommitRefusal.nothingStaged(
        "in '\(dataset.path)': no finished stage; did vol-write succeed?")
    }
    return (pending.stages, pending.tables, pending.damage)
  }

  private func selectNamed(
    _ names: [String], _ head: Manifest?
  ) throws -> (stages: [Stage], tables: [SubjectStage]) {
    var stages: [Stage] = []
    var tables: [SubjectStage] = []
    var seen: Set<String> = []
    let committed = head?.committedIDs ?? []
    for name in names where seen.insert(name).inserted {
      if committed.contains(name) {
        throw CommitRefusal.nothingStaged(
          "in '\(dataset.path)': stage '\(name)' is committed already")
      }
      let isID = Names.isHexadecimal(name, count: 32)
      if isID, let stage: Stage = try dataset.staged(name) {
        stages.append(stage)
      } else if isID, let table: SubjectStage = try dataset.staged(name) {
        tables.append(table)
      } else {
        throw CommitRefusal.nothingStaged(
          "in '\(dataset.path)': no finished stage '\(name)'; vol-ls --staged lists them")
      }
    }
    for stage in stages {
      guard let run = stage.run else { continue }
      let pending = try dataset.pending(besides: head)
      let others = (pending.stages + pending.cut).filter { $0.run == run }
      let missing = others.map(\.stage).filter { !seen.contains($0) }
      guard others.count == run.stages, missing.isEmpty else {
        throw CommitRefusal.nothingStaged(
          "in '\(dataset.path)': stage '\(stage.stage)' is one of \(run.stages) of its vol-write, "
            + "which are committed together"
            + (missing.isEmpty ? "" : "; name \(missing.joined(separator: ", ")), too"))
      }
    }
    return (stages.sorted { $0.precedes($1) }, tables.sorted { $0.precedes($1) })
  }

  /// Only subjects of new tables must have volumes: those of all others had them, or were let be.
  private func requireMatch(
    _ stages: [Stage], _ subjects: SubjectsEntry, _ tables: [SubjectStage]
  ) throws {
    let census = try SubjectCensus(dataset, stages, subjects, countsEmpty: true, of: tables)
    if let reason = census.summary {
      throw FormatError(dataset.path, "\(reason) (an error under --strict); nothing committed")
    }
  }

  /// Checks that all files are there, that catalogs are whole, and that no id occurs twice.
  ///
  /// Packs were flushed by their writer; reading them again would cost as much as writing them.
  ///
  /// - Returns: for each stage of the snapshot the ids of volumes that are to be replaced.
  private func check(
    _ stages: [Stage], _ head: Manifest?, _ verified: inout Set<String>
  ) throws -> [Set<TextDigest>] {
    var keys: [(key: TextDigest, stage: Int)] = []
    let names = ((head?.stages ?? []) + stages).map(\.collection)
    if let (one, other) = Names.firstSpeltTwoWays(names) {
      throw FormatError(
        dataset.path,
        "collections '\(one)' and '\(other)' differ only in how Unicode spells them")
    }
    for (number, stage) in stages.enumerated() {
      for pack in stage.packs {
        _ = try dataset.open(pack)
      }
      let catalog = try dataset.catalog(stage)
      // Files never change: who lost a race need not read them whole again.
      let isNew = verified.insert(stage.stage).inserted
      if isNew { try dataset.checkDigest(of: stage.catalog) }
      guard catalog.count == stage.volumes else {
        throw FormatError(
          catalog.path, "it holds \(counted(catalog.count, "volume")), not \(stage.volumes)")
      }
      if isNew { try CatalogCheck(catalog, stage).run() }
      try catalog.forEachKey { key, _ in keys.append((key, number)) }
    }
    keys.sort { $0.key < $1.key }
    for (first, second) in zip(keys, keys.dropFirst()) where first.key == second.key {
      throw try duplicate(first.key, stages[first.stage], stages[second.stage])
    }
    var replaced: [Set<TextDigest>] = []
    for old in head?.stages ?? [] {
      var common: Set<TextDigest> = []
      try forEachCommon(keys, old) { key, stage in
        guard stages[stage].replaces == true else { throw try duplicate(key, old, stages[stage]) }
        common.insert(key)
      }
      replaced.append(common)
    }
    return replaced
  }

  /// Visits those of the sorted `keys` that the committed stage `old` holds too.
  private func forEachCommon(
    _ keys: [(key: TextDigest, stage: Int)], _ old: Stage,
    _ body: (TextDigest, Int) throws -> Void
  ) throws {
    let catalog = try dataset.catalog(old)
    // A look costs a page or two; all pages in turn are cheaper if there are many looks.
    if keys.count < catalog.pages {
      for (key, stage) in keys where try catalog.blockOffset(of: key) != nil {
        try body(key, stage)
      }
      return
    }
    var next = 0
    try catalog.forEachKey { key, _ in
      while next < keys.count, keys[next].key < key { next += 1 }
      if next < keys.count, keys[next].key == key { try body(key, keys[next].stage) }
    }
  }

  private func duplicate(_ key: TextDigest, _ first: Stage, _ second: Stage) throws -> FormatError {
    func describe(_ stage: Stage) throws -> (id: ExactString, text: String) {
      let catalog = try dataset.catalog(stage)
      guard let record = try catalog.record(key) else { return ("?", "stage \(stage.stage)") }
      let header = try record.header(in: catalog.path)
      let origin = header.source?.path ?? header.name ?? "an unnamed source"
      return (record.obsID, "'\(origin)' (collection \(stage.collection), stage \(stage.stage))")
    }
    let (id, one) = try describe(first)
    let (_, other) = try describe(second)
    return FormatError(
      dataset.path,
      "the id '\(id)' stands for two volumes, \(one) and \(other); nothing "
        + "committed; vol-rm --stage gives a stage up")
  }
}

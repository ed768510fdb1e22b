public import Frames
public import ByteIO

/// Makes snapshots without some volumes; no byte of an earlier snapshot is touched.
public struct Remover {
  /// An id that the current snapshot does not hold.
  public struct Missing: Error, Sendable {
    /// The first such id.
    public var obsID: ExactString
    /// How many there are.
    public var count: Int
  }

  /// A volume that is to go.
  public struct Target: Sendable {
    /// Its collection.
    public var collection: ExactString
    /// Its id.
    public var obsID: ExactString
  }

  private let dataset: Dataset
  private let log: SnapshotLog

  /// Prepares removals from `dataset`; `tool` is program and version, for the manifest.
  public init(_ dataset: Dataset, tool: String) {
    self.dataset = dataset
    log = SnapshotLog(dataset: dataset, tool: tool)
  }

  /// The volumes of the current snapshot that have one of these ids.
  ///
  /// - Throws: `Missing` for ids that none has, unless they are to be passed over.
  public func find(_ ids: [ExactString], passingOver: Bool) throws -> [Target] {
    guard let head = try dataset.manifest() else { throw noSnapshot() }
    let held = try lookUp(ids, head, passingOver: passingOver)
    return zip(ids, held).compactMap { id, stage in
      stage.map { Target(collection: head.stages[$0].collection, obsID: id) }
    }
  }

  /// Commits a snapshot without the volumes of these ids.
  ///
  /// - Parameters:
  ///   - ids: each once.
  ///   - passingOver: whether ids that do not exist are no error.
  ///   - metadata: the snapshot's.
  ///   - expected: what the current snapshot must be; nil if any may.
  /// - Returns: the new snapshot, or the current one if there was nothing to remove.
  /// - Throws: `Missing`; `CommitRefusal`; `FormatError`; `IOFailure`. Nothing is changed then.
  public func remove(
    _ ids: [ExactString], passingOver: Bool, metadata: JSONObject,
    expecting expected: ExpectedSnapshot?
  ) throws -> Manifest {
    struct Nothing: Error { var head: Manifest }
    let reviser = CatalogReviser(dataset)
    do {
      let manifest = try log.advance(expecting: expected, metadata: metadata) { head in
        guard let head else { throw noSnapshot() }
        var keys: [Int: Set<TextDigest>] = [:]
        for (id, stage) in zip(ids, try lookUp(ids, head, passingOver: passingOver)) {
          if let stage { keys[stage, default: []].insert(TextDigest(id)) }
        }
        if keys.isEmpty { throw Nothing(head: head) }
        var stages: [Stage] = []
        for (number, stage) in head.stages.enumerated() {
          guard let gone = keys[number] else {
            stages.append(stage)
            continue
          }
          if let revised = try reviser.revise(stage, without: gone) { stages.append(revised) }
        }
        return .init(stages: stages, subjects: head.subjects)
      }
      try? reviser.removeUnused(besides: manifest.stages)
      return manifest
    } catch let nothing as Nothing {
      return nothing.head
    } catch let unsure as UnsureCommit {
      throw unsure
    } catch {
      try? reviser.removeUnused(besides: [])
      throw error
    }
  }

  private func noSnapshot() -> CommitRefusal {
    .nothingStaged("in '\(dataset.path)': it has no snapshot yet; vol-commit makes one")
  }

  /// For each id the number of the stage that holds it.
  private func lookUp(_ ids: [ExactString], _ head: Manifest, passingOver: Bool) throws -> [Int?] {
    let catalogs = CatalogSet(dataset, head.stages)
    let held = try ids.map { try catalogs.index(holding: TextDigest($0)) }
    let missing = zip(ids, held).filter { $0.1 == nil }
    if let first = missing.first, !passingOver {
      throw Missing(obsID: first.0, count: missing.count)
    }
    return held
  }
}

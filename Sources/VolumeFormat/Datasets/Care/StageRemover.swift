package import Storage
internal import Frames
public import ByteIO

/// Gives up what is staged and not committed: its record goes first, then its files.
public struct StageRemover {
  /// Why nothing was given up.
  public struct Refusal: Error, Sendable {
    /// Without the dataset's name.
    public var reason: String
  }

  /// A stage or a staged table that is to go.
  public struct Target: Sendable {
    /// Its id.
    public var stage: String
    /// The collection; nil for a subject table, and where the record cannot be read.
    public var collection: ExactString?
    /// Its files.
    package var files: [StoredObject]
    /// Its record.
    package var record: ObjectName
  }

  /// What became of files.
  public struct Outcome: Sendable {
    /// How many are gone.
    public var files: Int
    /// Their bytes.
    public var bytes: UInt64
    /// How many stay, since a commit is under way that may name them; vol-gc(1) removes them else.
    public var left: Int
  }

  private let dataset: Dataset

  /// Prepares removals from `dataset`.
  public init(_ dataset: Dataset) { self.dataset = dataset }

  /// What these ids stand for.
  ///
  /// - Parameters:
  ///   - ids: each once.
  ///   - passingOver: whether ids that stand for nothing are no error.
  /// - Returns: the stages and tables.
  /// - Throws: `Refusal` for one that is committed or not there, and where one is of a run of which
  ///   another is not named; `FormatError`; `IOFailure`.
  public func find(_ ids: [String], passingOver: Bool) throws -> [Target] {
    // Before the records: who has none by now, has made all records that it will make.
    let writing = try writers()
    let head = try dataset.manifest()
    let committed = head?.committedIDs ?? []
    let pending = try dataset.pending(besides: head)
    let stages = pending.stages + pending.cut
    let recorded = Set(try dataset.stagedIDs(Stage.self))
    let tables = Set(try dataset.stagedIDs(SubjectStage.self))
    let unreadable = recorded.subtracting(stages.map(\.stage)).subtracting(committed)
    // Of a record that cannot be read nothing else tells its files.
    let owned = Dictionary(grouping: try dataset.ownedFiles(), by: \.owner.id)
    var targets: [Target] = []
    for id in ids {
      guard !committed.contains(id) else {
        throw Refusal(
          reason: "stage '\(id)' is committed; vol-rm takes its volumes out by their ids")
      }
      guard recorded.contains(id) || tables.contains(id) else {
        if passingOver { continue }
        throw Refusal(reason: "there is no stage '\(id)'; vol-ls --staged lists them")
      }
      if unreadable.contains(id) { try requireDamage(id) }
      let stage = stages.first { $0.stage == id }
      let isCut = pending.cut.contains { $0.stage == id }
      if isCut, writing.contains(String(id.prefix(Session.digits))) {
        throw Refusal(
          reason:
            "stage '\(id)' is one that a vol-write is about to finish; end it, or try again later")
      }
      if isCut, let run = stage?.run, let other = unreadable.subtracting(ids).min() {
        throw Refusal(
          reason:
            "stage '\(id)' is one of \(run.stages) of its vol-write, and '\(other)', whose record "
            + "cannot be read, may be another; name it, too")
      }
      if let run = stage?.run {
        let others = stages.filter { $0.run == run && !ids.contains($0.stage) }
        guard others.isEmpty else {
          throw Refusal(
            reason: "stage '\(id)' is one of \(run.stages) of its vol-write, which go together; "
              + "name \(others.map(\.stage).joined(separator: ", ")), too")
        }
      }
      targets.append(
        Target(
          stage: id, collection: stage?.collection, files: owned[id]?.map(\.object) ?? [],
          record: Layout.record(
            id, recorded.contains(id) ? Stage.recordEnding : SubjectStage.recordEnding)))
    }
    return targets
  }

  /// Throws unless a record that could not be read is damaged: of one that is whole, it must be known
  /// whether it is of a run.
  private func requireDamage(_ id: String) throws {
    do {
      guard let _: Stage = try dataset.staged(id) else { return }
    } catch is FormatError {
      return
    }
    throw Refusal(reason: "the record of stage '\(id)' could not be read at once; try again")
  }

  /// The sessions that write, as far as they have shown it lately.
  private func writers() throws -> Set<String> {
    let now = try dataset.store.now()
    return Set(
      try dataset.leases().filter {
        $0.work == .write && $0.object.modified > now - 5 * Lease.period
      }.map(\.session))
  }

  /// Gives them up; where it fails, some may be given up and some of their files be left.
  ///
  /// - Parameter targets: what `find` found.
  /// - Returns: what is gone.
  /// - Throws: `Refusal` where a committer was faster, whose snapshot keeps all it needs; `IOFailure`.
  public func giveUp(_ targets: [Target]) throws -> Outcome {
    let files = targets.flatMap(\.files)
    switch try dataset.giveUp(
      targets.map(\.stage), records: targets.map(\.record), files: files.map(\.name))
    {
    case .gone:
      return Outcome(files: files.count, bytes: files.reduce(0) { $0 &+ $1.bytes }, left: 0)
    case .filesLeft:
      return Outcome(files: 0, bytes: 0, left: files.count)
    case .committed(let stage, let snapshot):
      throw Refusal(
        reason: "stage '\(stage)' was just committed, in snapshot \(snapshot); no file is removed")
    }
  }
}

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
    /// Its files, relative to the dataset.
    public var files: [String]
    /// Its record, relative to the dataset.
    public var record: String
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
    let head = try dataset.manifest()
    let committed = head?.committedIDs ?? []
    let pending = try dataset.pending(besides: head)
    let stages = pending.stages + pending.cut
    let recorded = Set(try dataset.stagedIDs(Stage.self))
    let tables = Set(try dataset.stagedIDs(SubjectStage.self))
    let owned = try files()
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
      let stage = stages.first { $0.stage == id }
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
          stage: id, collection: stage?.collection, files: owned[id] ?? [],
          record: Layout.record(
            id, recorded.contains(id) ? Stage.recordEnding : SubjectStage.recordEnding)))
    }
    return targets
  }

  /// Gives them up; where it fails, some may be given up and some of their files be left.
  ///
  /// - Parameter targets: what `find` found.
  /// - Returns: the bytes of the files that are gone.
  /// - Throws: `Refusal` where a committer was faster, whose snapshot keeps all it needs; `IOFailure`.
  public func giveUp(_ targets: [Target]) throws -> UInt64 {
    let last = try dataset.snapshotNumbers().last ?? 0
    for target in targets { try Publishing.remove(dataset.file(target.record)) }
    try Publishing.syncDirectory(dataset.file(Layout.stages))
    // A committer looks for the records last of all; if one has seen them still, its snapshot is here.
    for number in try dataset.snapshotNumbers() where number >= last {
      guard let manifest = try dataset.manifest(number) else { continue }
      let committed = manifest.committedIDs
      if let target = targets.first(where: { committed.contains($0.stage) }) {
        throw Refusal(
          reason:
            "stage '\(target.stage)' was just committed, in snapshot \(number); no file is "
            + "removed")
      }
    }
    var bytes: UInt64 = 0
    for path in targets.flatMap(\.files) {
      bytes &+= try FileStatus(.init(dataset.file(path)), following: false)?.size ?? 0
      try Publishing.remove(dataset.file(path))
    }
    return bytes
  }

  /// The files in the dataset by what they belong to; of a record that cannot be read nothing else
  /// tells them.
  private func files() throws -> [String: [String]] {
    var result: [String: [String]] = [:]
    for directory in [Layout.packs, Layout.catalogs, Layout.subjects] {
      for name in try dataset.names(in: directory) {
        let path = "\(directory)/\(name)"
        if let owner = Layout.owner(of: path) { result[owner, default: []].append(path) }
      }
    }
    return result
  }
}

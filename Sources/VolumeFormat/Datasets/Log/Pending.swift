public import ByteIO
internal import Frames
internal import Storage

extension Dataset {
  /// What lies in the dataset and is not committed.
  public struct Pending: Sendable {
    /// The finished stages, in order of their creation, then of id; those of a run once all of them
    /// are there.
    public var stages: [Stage] = []
    /// The stages of runs that are not whole: that were cut off, or are just being published.
    public var cut: [Stage] = []
    /// The subject tables, in order of their creation, then of id.
    public var tables: [SubjectStage] = []
    /// Why records cannot be read, which are left where they are.
    public var damage: [any Error] = []
  }

  /// What is staged and was committed neither by the snapshot of `manifest` nor before it.
  ///
  /// - Parameters:
  ///   - manifest: the current snapshot's; nil if there is none.
  ///   - withTables: whether subject tables are wanted, too.
  /// - Returns: what is staged.
  /// - Throws: `IOFailure` if the records cannot be listed.
  public func pending(besides manifest: Manifest?, withTables: Bool = true) throws -> Pending {
    let committed = manifest?.committedIDs ?? []
    var result = Pending()
    let stages: [Stage] = try pending(besides: committed, &result.damage)
    if withTables { result.tables = try pending(besides: committed, &result.damage) }
    let counts = stages.reduce(into: [:]) { $0[$1.run?.id, default: 0] += 1 }
    for stage in stages {
      if let run = stage.run, counts[run.id] != run.stages {
        result.cut.append(stage)
      } else {
        result.stages.append(stage)
      }
    }
    return result
  }

  private func pending<Content: Staged>(
    besides committed: Set<String>, _ damage: inout [any Error]
  ) throws -> [Content] {
    var found: [Content] = []
    for id in try stagedIDs(Content.self) where !committed.contains(id) {
      let record: Result<Content?, any Error> = Result { try staged(id) }
      switch record {
      case .success(let content): if let content { found.append(content) }
      case .failure(let error): damage.append(error)
      }
    }
    return found.sorted { $0.precedes($1) }
  }

  /// The ids of all records of this kind that lie in the dataset.
  func stagedIDs<Content: Staged>(_ kind: Content.Type) throws -> [String] {
    try store.names(in: Layout.stages).compactMap { Layout.recordID($0, Content.recordEnding) }
  }

  /// What is staged under `id`; nil if there is no record of it.
  func staged<Content: Staged>(_ id: String) throws -> Content? {
    let name = record(of: id, Content.self)
    guard let bytes = try store.read(name, maximum: Content.maximumRecord) else { return nil }
    let source = place(name)
    let record = try StagedRecord<Content>(SealedDocument.parse(bytes, in: source))
    guard record.datasetID == self.id else { throw FormatError(source, "it is of another dataset") }
    guard record.content.stage == id else { throw FormatError(source, "it is of another stage") }
    if let defect = record.content.defect() { throw FormatError(source, defect) }
    return record.content
  }

  /// The name of a record.
  func record<Content: Staged>(of id: String, _ kind: Content.Type) -> ObjectName {
    Layout.record(id, Content.recordEnding)
  }

  /// Publishes the records of what is staged together, all of whose files are there.
  ///
  /// - Throws: `FormatError` if a record is too long; `UnsureStage` if it failed and a record may be
  ///   there for all that; `IOFailure`. But for `UnsureStage`, they and their files are given up then.
  func publish<Content: Staged>(_ contents: [Content]) throws {
    do {
      for content in contents {
        let document = SealedDocument.encode(StagedRecord(datasetID: id, content).json)
        // Only many packs make a record long.
        guard document.count <= Content.maximumRecord else {
          throw FormatError(
            content.stage, "its record would be over 16 MiB; choose a larger --pack-size")
        }
        try store.replace(record(of: content.stage, Content.self), document)
      }
    } catch {
      // Whatever failed, a record may be there, and none may outlive its files.
      try withdraw(contents, since: error)
    }
  }

  /// Gives up what was published or may have been, unless somebody has committed it.
  ///
  /// - Parameters:
  ///   - contents: what was published.
  ///   - cause: why.
  /// - Throws: `cause`, once it is given up; `UnsureStage` if it may be there for all that.
  func withdraw<Content: Staged>(_ contents: [Content], since cause: any Error) throws {
    let ids = contents.map(\.stage)
    let outcome: GivingUp
    do {
      outcome = try giveUp(
        ids, records: ids.map { record(of: $0, Content.self) },
        files: contents.flatMap(\.files).map(\.name))
    } catch {
      throw UnsureStage(stage: ids, cause: cause, second: error)
    }
    switch outcome {
    case .committed: return
    case .gone: throw cause
    case .filesLeft: throw UnsureStage(stage: ids, cause: cause, second: nil)
    }
  }

  /// Whether all of these that were published are there still, or committed: of a run that was not
  /// whole yet, somebody may have given up a part.
  func holds(_ stages: [Stage]) throws -> Bool {
    let there = Set(try stagedIDs(Stage.self))
    if stages.allSatisfy({ there.contains($0.stage) }) { return true }
    return try manifest()?.committedIDs.isSuperset(of: stages.map(\.stage)) == true
  }
}

/// What was staged, and a failure after which nobody knows whether its records are there.
///
/// Its files must stay.
public struct UnsureStage: ExplainedError {
  /// The ids.
  public var stage: [String]
  /// What failed.
  public var cause: any Error
  /// Why it could not be taken back; nil if a commit is under way, which may take it.
  public var second: (any Error)?

  /// See `ExplainedError`.
  public var failureKind: FailureKind { ByteIO.explanation(of: cause).kind }
  /// See `ExplainedError`.
  public var explanation: String {
    "\(ByteIO.explanation(of: cause).line); stage \(stage.joined(separator: ", ")) may be there for "
      + "all that, since "
      + (second == nil ? "a commit is under way that may take it" : "it could not be taken back")
      + ": vol-ls tells of the commit, vol-ls --staged of the stage, and vol-rm --stage gives it up"
  }
}

/// What somebody gave up while it was being finished; nothing of it is staged.
public struct StageGivenUp: ExplainedError {
  /// The dataset's.
  public var path: String

  /// See `ExplainedError`.
  public var failureKind: FailureKind { .tryAgain }
  /// See `ExplainedError`.
  public var explanation: String {
    "cannot finish the stages of '\(path)': somebody gave them up meanwhile; nothing of them is "
      + "staged, write them again"
  }
}

internal import Frames
internal import ByteIO
internal import Glibc

/// Removes files of a dataset that nothing needs; see vol-dataset(5), Collecting.
public struct Collector {
  /// Which snapshots are kept besides the last one; all if both are nil.
  public struct Keep: Sendable {
    /// So many of the last.
    public var last: Int?
    /// Those made within so many seconds.
    public var within: Double?

    /// Makes a choice.
    public init(last: Int?, within: Double?) {
      self.last = last
      self.within = within
    }
  }

  /// A file that is not needed.
  public struct Removal: Sendable {
    /// Its path, relative to the dataset.
    public var path: String
    /// Its size.
    public var bytes: UInt64
  }

  /// What is not needed by any snapshot and was left alone for all that.
  public struct Kept: Sendable {
    /// Files and their bytes.
    public typealias Sum = (files: Int, bytes: UInt64)

    /// Those that changed within the time of grace: a writer may be at work on them.
    public var young: Sum = (0, 0)
    /// Those of stages and tables that are not committed.
    public var staged: Sum = (0, 0)
    /// How many stages and tables these are.
    public var stages = 0
    /// Snapshots that would have gone, if they had not been the last within the time of grace.
    public var snapshots = 0
  }

  private let dataset: Dataset
  private let keep: Keep
  private let grace: Double
  private let isDry: Bool
  private let now = Clock.now()

  /// Prepares a run.
  ///
  /// - Parameters:
  ///   - dataset: the dataset.
  ///   - keep: which snapshots are kept.
  ///   - grace: seconds within which files and snapshots are left alone in any case.
  ///   - isDry: whether nothing is removed.
  public init(_ dataset: Dataset, keep: Keep, grace: Double, isDry: Bool) {
    self.dataset = dataset
    self.keep = keep
    self.grace = grace
    self.isDry = isDry
  }

  /// Removes what is not needed and tells each file.
  ///
  /// - Parameter report: gets what is removed, or would be.
  /// - Returns: what else is not needed, and is kept.
  /// - Throws: `FormatError` if a manifest or a stage record cannot be read, and nothing more is
  ///   removed then; `IOFailure`.
  public func run(_ report: (Removal) throws -> Void) throws -> Kept {
    var kept = Kept()
    // In this order; see vol-dataset(5) for why.
    let expired = try expiredSnapshots(&kept)
    if !expired.isEmpty {
      // Before anything goes: what stays must be readable.
      for number in try dataset.snapshotNumbers() where !expired.contains(number) {
        _ = try dataset.manifest(number)
      }
    }
    for number in expired { try remove(Layout.manifest(number), report) }
    if !isDry, !expired.isEmpty { try Publishing.syncDirectory(dataset.file(Layout.manifests)) }
    let files = try list()
    var staged = Set(
      try dataset.stagedIDs(Stage.self) + dataset.stagedIDs(SubjectStage.self))
    var needed: Set<String> = []
    for number in try dataset.snapshotNumbers() where !expired.contains(number) {
      // One that another collector has removed in the meantime keeps nothing.
      guard let manifest = try dataset.manifest(number) else { continue }
      needed.formUnion(manifest.files.map(\.path))
      // A record that nobody could remove keeps nothing that was committed.
      staged.subtract(manifest.committedIDs)
    }
    var lastChange: [String: Double] = [:]
    for file in files {
      lastChange[file.owner] = max(lastChange[file.owner] ?? 0, file.modified)
    }
    var stages: Set<String> = []
    for file in files where !needed.contains(file.path) {
      if staged.contains(file.owner) {
        kept.staged = (kept.staged.files + 1, kept.staged.bytes &+ file.bytes)
        stages.insert(file.owner)
      } else if let change = lastChange[file.owner], change > now - grace {
        kept.young = (kept.young.files + 1, kept.young.bytes &+ file.bytes)
      } else {
        try remove(file.path, report)
      }
    }
    kept.stages = stages.count
    return kept
  }

  // MARK: Snapshots

  /// The numbers of those that are not kept.
  private func expiredSnapshots(_ kept: inout Kept) throws -> Set<UInt64> {
    let numbers = try dataset.snapshotNumbers()
    guard keep.last != nil || keep.within != nil, numbers.count > 1 else { return [] }
    var result = Set(numbers.dropLast(max(1, keep.last ?? 1)))
    if let within = keep.within {
      let cutoff = Clock.text(now - within)
      for number in result {
        guard let manifest = try dataset.manifest(number) else { continue }
        if manifest.created >= cutoff { result.remove(number) }
      }
    }
    for (number, next) in zip(numbers, numbers.dropFirst()) where result.contains(number) {
      // Until its successor came it was the last, and someone may have begun to read it then.
      let successor = try status(Layout.manifest(next))
      if (successor?.modified ?? now) > now - grace {
        result.remove(number)
        kept.snapshots += 1
      }
    }
    return result
  }

  // MARK: Files

  private struct File {
    var path: String
    /// What it belongs to: a stage, a table, or only itself.
    var owner: String
    var modified: Double
    var bytes: UInt64
  }

  /// The files whose names are those of the format; others are left alone.
  private func list() throws -> [File] {
    var files: [File] = []
    for directory in [
      ".", Layout.manifests, Layout.packs, Layout.catalogs, Layout.subjects,
      Layout.stages,
    ] {
      for name in try dataset.names(in: directory) {
        let path = directory == "." ? name : "\(directory)/\(name)"
        guard let owner = Layout.owner(of: path), let status = try status(path) else { continue }
        files.append(
          File(path: path, owner: owner, modified: status.modified, bytes: status.bytes))
      }
    }
    return files
  }

  private func status(_ path: String) throws -> (modified: Double, bytes: UInt64)? {
    var result = stat()
    guard lstat(dataset.file(path), &result) == 0 else { return nil }
    guard result.st_mode & S_IFMT == S_IFREG else { return nil }
    return (
      Double(result.st_mtim.tv_sec) + Double(result.st_mtim.tv_nsec) / 1e9,
      UInt64(max(0, result.st_size))
    )
  }

  private func remove(_ path: String, _ report: (Removal) throws -> Void) throws {
    let bytes = try status(path)?.bytes ?? 0
    if !isDry { try Publishing.remove(dataset.file(path)) }
    try report(Removal(path: path, bytes: bytes))
  }
}

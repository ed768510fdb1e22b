internal import Storage
internal import Frames
internal import ByteIO

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

    /// Those of writers whose leases are within the time of grace.
    public var young: Sum = (0, 0)
    /// Those of stages and tables that are not committed.
    public var staged: Sum = (0, 0)
    /// How many stages and tables these are.
    public var stages = 0
    /// Snapshots that would have gone, if no commit were under way.
    public var awaited = 0
    /// Snapshots that would have gone, if they had not been the last within the time of grace.
    public var snapshots = 0
  }

  private let dataset: Dataset
  private let keep: Keep
  private let grace: Double
  private let isDry: Bool

  /// Prepares a run.
  ///
  /// - Parameters:
  ///   - dataset: the dataset.
  ///   - keep: which snapshots are kept.
  ///   - grace: seconds without renewal after which the holder of a lease is taken for dead, and
  ///     within which snapshots are left alone in any case.
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
    let now = try dataset.store.now()
    // In this order; see vol-dataset(5) for why.
    let manifests = Dictionary(
      uniqueKeysWithValues: try dataset.store.list(Layout.manifests).map { ($0.name, $0) })
    var expired = try expiredSnapshots(manifests, now, &kept)
    if !expired.isEmpty {
      // Before anything goes: what stays must be readable.
      for number in try dataset.snapshotNumbers() where !expired.contains(number) {
        _ = try dataset.manifest(number)
      }
    }
    // Who commits on top of an old snapshot would find the number after it free.
    if !expired.isEmpty, !isDry, try dataset.awaitCommitters(grace) {
      kept.awaited = expired.count
      expired = []
    }
    for object in expired.sorted().compactMap({ manifests[Layout.manifest($0)] }) {
      try remove(object, report)
    }
    if !isDry, !expired.isEmpty { try dataset.store.flushRemovals(in: Layout.manifests) }
    let files = try dataset.ownedFiles()
    // Before and after the records: a writer gives up its lease after it has made a record, and who
    // takes a record away holds a lease before.
    var leases = try dataset.leases()
    var staged = Set(
      try dataset.stagedIDs(Stage.self) + dataset.stagedIDs(SubjectStage.self))
    leases += try dataset.leases()
    let fresh = leases.filter { $0.object.modified > now - grace }
    let isCommitting = fresh.contains { $0.work == .commit }
    let living = Set(
      (fresh + leases.filter { isCommitting && $0.work == .giveUp }).map(\.session))
    var needed: Set<ObjectName> = []
    try dataset.forEachManifest { manifest in
      guard !expired.contains(manifest.snapshot) else { return }
      needed.formUnion(manifest.files.map(\.name))
      // A record that nobody could remove keeps nothing that was committed.
      staged.subtract(manifest.committedIDs)
    }
    var stages: Set<String> = []
    for file in files where !needed.contains(file.object.name) {
      if staged.contains(file.owner.id) {
        kept.staged = (kept.staged.files + 1, kept.staged.bytes &+ file.object.bytes)
        stages.insert(file.owner.id)
      } else if living.contains(String(file.owner.drawn.prefix(Session.digits))) {
        kept.young = (kept.young.files + 1, kept.young.bytes &+ file.object.bytes)
      } else {
        try remove(file.object, report)
      }
    }
    // A lease goes after what it stood for.
    var dead = Set<ObjectName>()
    for lease in leases
    where !living.contains(lease.session) && dead.insert(lease.object.name).inserted {
      try remove(lease.object, report)
    }
    for object in try dataset.store.unfinished(before: now - grace) { try remove(object, report) }
    kept.stages = stages.count
    return kept
  }

  // MARK: Snapshots

  /// The numbers of those that are not kept.
  private func expiredSnapshots(
    _ manifests: [ObjectName: StoredObject], _ now: Double, _ kept: inout Kept
  ) throws -> Set<UInt64> {
    let numbers = manifests.keys.compactMap { Layout.manifestNumber($0.file) }.sorted()
    guard keep.last != nil || keep.within != nil, numbers.count > 1 else { return [] }
    var result = Set(numbers.dropLast(max(1, keep.last ?? 1)))
    if let within = keep.within {
      let cutoff = Clock.text(dataset.session.clock() - within)
      for number in result {
        guard let manifest = try dataset.manifest(number) else { continue }
        if manifest.created >= cutoff { result.remove(number) }
      }
    }
    for (number, next) in zip(numbers, numbers.dropFirst()) where result.contains(number) {
      // Until its successor came it was the last, and someone may have begun to read it then.
      if manifests[Layout.manifest(next)]?.modified ?? now > now - grace {
        result.remove(number)
        kept.snapshots += 1
      }
    }
    return result
  }

  // MARK: Files

  private func remove(_ object: StoredObject, _ report: (Removal) throws -> Void) throws {
    if !isDry { try dataset.store.remove([object.name]) }
    try report(Removal(path: object.name.path, bytes: object.bytes))
  }
}

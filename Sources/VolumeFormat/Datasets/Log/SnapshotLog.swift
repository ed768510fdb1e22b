internal import Storage
internal import Frames
public import ByteIO

/// Why there is no new snapshot, other than bad data and failed calls.
public enum CommitRefusal: ExplainedError, Sendable {
  /// No finished stage is there, or not the one named.
  case nothingStaged(String)
  /// Other committers were always faster.
  case lostRaces(Int)
  /// Nothing is there but records that cannot be read.
  case unreadable([any Error])
  /// The current snapshot is another than the one that was to be followed.
  case moved(expected: UInt64, current: UInt64)

  /// See `ExplainedError`.
  public var failureKind: FailureKind {
    switch self {
    case .nothingStaged: .noInput
    case .lostRaces, .moved: .tryAgain
    case .unreadable(let errors): errors.first.map { ByteIO.explanation(of: $0).kind } ?? .fault
    }
  }

  /// See `ExplainedError`.
  public var explanation: String {
    switch self {
    case .nothingStaged(let reason): "nothing to commit \(reason)"
    case .lostRaces(let count): "other committers were faster \(count) times; try again"
    case .unreadable(let errors): errors.first.map { ByteIO.explanation(of: $0).line } ?? ""
    case .moved(let expected, let current):
      expected == current
        ? "nothing changed: the current snapshot \(current) is not the one that was expected"
        : "nothing changed: the current snapshot is \(current), not \(expected) as expected"
    }
  }
}

/// The snapshot that must be current for a change to be made.
public struct ExpectedSnapshot: Sendable {
  /// Its number; 0 if there must be none.
  public var number: UInt64
  /// The SHA-256 of its manifest; nil if any will do.
  public var sha256: String?

  /// Names it.
  public init(_ number: UInt64, sha256: String? = nil) {
    self.number = number
    self.sha256 = sha256
  }
}

/// A snapshot that was made, and a failure after which nobody knows whether it will last.
///
/// What it names must stay.
public struct UnsureCommit: ExplainedError {
  /// Its number.
  public var snapshot: UInt64
  /// What failed.
  public var cause: any Error

  /// See `ExplainedError`.
  public var failureKind: FailureKind { ByteIO.explanation(of: cause).kind }
  /// See `ExplainedError`.
  public var explanation: String {
    "snapshot \(snapshot) is made but may not outlast a crash of the system: "
      + ByteIO.explanation(of: cause).line
  }
}

/// Adds the next snapshot to a dataset, however many processes do so at once.
struct SnapshotLog {
  private static let attempts = 200
  /// So often a manifest is made once more, of which nobody knows whether it was made.
  private static let doubts = 5

  /// The current snapshot, and the digest of its manifest.
  struct Head {
    var manifest: Manifest
    var sha256: String
  }

  /// What the next snapshot is to hold.
  struct Proposal {
    var stages: [Stage]
    var subjects: SubjectsEntry?
    /// The records of what is new in it, which whoever gives it up removes first.
    var records: [ObjectName] = []
  }

  let dataset: Dataset
  /// Program and version, for the manifest.
  let tool: String

  /// Takes a lease, and tries again until the snapshot that `propose` makes of the current one is the
  /// next.
  ///
  /// - Parameters:
  ///   - expected: what the current snapshot must be; nil if any may.
  ///   - metadata: the user's.
  ///   - propose: called for each current snapshot, nil if there is none yet.
  /// - Returns: the new snapshot.
  /// - Throws: `CommitRefusal`; what `propose` throws; `IOFailure`.
  func advance(
    expecting expected: ExpectedSnapshot?, metadata: JSONObject,
    _ propose: (Manifest?) throws -> Proposal
  ) throws -> Manifest {
    let lease = try Lease(dataset, .commit, tool: tool)
    defer { lease.end() }
    do {
      return try attempt(expected, metadata, propose)
    } catch let unsure as UnsureCommit {
      lease.leave()
      throw unsure
    }
  }

  private func attempt(
    _ expected: ExpectedSnapshot?, _ metadata: JSONObject,
    _ propose: (Manifest?) throws -> Proposal
  ) throws -> Manifest {
    var canClaim = false
    for attempt in 0..<Self.attempts {
      // Who has lost often waits less, so that it, too, comes to its turn.
      if attempt > 0 {
        let longest = max(2_000, 20_000 / UInt64(attempt))
        dataset.session.pause(Double(500 + dataset.session.number(below: longest - 499)) / 1e6)
      }
      let head = try current()
      if let expected,
        expected.number != head?.manifest.snapshot ?? 0
          || expected.sha256 ?? head?.sha256 != head?.sha256
      {
        throw CommitRefusal.moved(
          expected: expected.number, current: head?.manifest.snapshot ?? 0)
      }
      let left = try forgetCommitted(head?.manifest)
      let proposal: Proposal
      do {
        proposal = try propose(head?.manifest)
      } catch {
        // What it read may be gone by now, since a later snapshot does without.
        guard try dataset.snapshotNumbers().last ?? 0 > head?.manifest.snapshot ?? 0 else {
          throw error
        }
        continue
      }
      if !canClaim { try requireClaims() }
      canClaim = true
      let manifest = try manifest(of: proposal, on: head, metadata, left)
      if try publish(manifest, needing: proposal.records) {
        try? refreshHead()
        return manifest
      }
    }
    throw CommitRefusal.lostRaces(Self.attempts)
  }

  /// Throws unless a snapshot can be made where the dataset lies.
  private func requireClaims() throws {
    guard try dataset.store.canCreate(in: Layout.manifests) else {
      throw DatasetError.noClaims(dataset.path)
    }
  }

  /// Writes number and digest of the last snapshot to `HEAD`, a hint.
  func refreshHead() throws {
    while let (number, manifest) = try dataset.lastManifest() {
      let bytes = Array("\(number) \(SHA256.digits(of: manifest))\n".utf8)
      if try dataset.hint() != bytes {
        try dataset.store.replace(Layout.head, bytes)
      }
      // Another committer may have written an older number after ours.
      if try dataset.snapshotNumbers().last == number { return }
    }
  }

  // MARK: Steps

  private func current() throws -> Head? {
    guard let (number, bytes) = try dataset.lastManifest() else { return nil }
    let digest = SHA256.digits(of: bytes)
    return Head(manifest: try dataset.decodeManifest(bytes, number), sha256: digest)
  }

  /// Removes the records of what was committed, for good.
  ///
  /// - Returns: the ids of those that stay, since the folder is another's, say. A later snapshot that
  ///   leaves such a stage out must name it, or it would come back.
  private func forgetCommitted(_ head: Manifest?) throws -> Set<String> {
    let committed = head?.committedIDs ?? []
    var left: Set<String> = []
    let stages = try forget(committed, Stage.self, &left)
    let tables = try forget(committed, SubjectStage.self, &left)
    if stages || tables { try dataset.store.flushRemovals(in: Layout.stages) }
    return left
  }

  /// Removes the records of one kind that are `committed`; whether any was removed.
  private func forget<Content: Staged>(
    _ committed: Set<String>, _ kind: Content.Type, _ left: inout Set<String>
  ) throws -> Bool {
    var isChanged = false
    for id in try dataset.stagedIDs(kind) where committed.contains(id) {
      do {
        try dataset.store.remove([dataset.record(of: id, kind)])
        isChanged = true
      } catch {
        left.insert(id)
      }
    }
    return isChanged
  }

  private func manifest(
    of proposal: Proposal, on head: Head?, _ metadata: JSONObject, _ left: Set<String>
  ) throws -> Manifest {
    guard head?.manifest.snapshot != Layout.maximumSnapshot else {
      throw FormatError(dataset.path, "it has as many snapshots as can be numbered")
    }
    guard let totals = Manifest.totals(of: proposal.stages) else {
      throw FormatError(dataset.path, "its volumes have more bytes than can be counted")
    }
    let committed =
      left.subtracting(proposal.stages.map(\.stage))
      .subtracting(proposal.subjects?.stages ?? []).sorted()
    guard committed.count <= Manifest.maximumCommitted else {
      throw FormatError(
        "\(dataset.path)/\(Layout.stages)",
        "over \(Manifest.maximumCommitted) records of what was committed cannot be removed here; "
          + "whoever owns them can")
    }
    return Manifest(
      datasetID: dataset.id, snapshot: (head?.manifest.snapshot ?? 0) + 1,
      parent: head.map { .init(snapshot: $0.manifest.snapshot, sha256: $0.sha256) },
      commitID: dataset.session.identifier(), created: dataset.session.timestamp(), tool: tool,
      metadata: metadata, collections: totals, stages: proposal.stages,
      subjects: proposal.subjects, committed: committed)
  }

  /// Creates the manifest unless its number is taken or a record gone; false if it is.
  ///
  /// The records are looked at last. Who gives them up afterwards sees the lease of this committer, and
  /// leaves their files alone.
  private func publish(_ manifest: Manifest, needing records: [ObjectName]) throws -> Bool {
    let bytes = SealedDocument.encode(manifest.json)
    guard bytes.count <= Manifest.maximumSize else {
      throw FormatError(dataset.path, "its manifest would be over 64 MiB: it has too many stages")
    }
    let there = Set(try dataset.store.names(in: Layout.stages))
    guard records.allSatisfy({ there.contains($0.file) }) else { return false }
    let name = Layout.manifest(manifest.snapshot)
    guard try create(name, bytes, manifest.snapshot) else { return false }
    do {
      if try isInLine(manifest.snapshot, SHA256.digits(of: bytes)) { return true }
      try dataset.store.remove([name])
      return false
    } catch {
      throw UnsureCommit(snapshot: manifest.snapshot, cause: error)
    }
  }

  /// Whether the manifest is made, and not one that another committer made under its name.
  ///
  /// Where a reply was lost nobody knows, until it is there or made once more: as its commit id is
  /// random, no other has its bytes.
  private func create(_ name: ObjectName, _ bytes: [UInt8], _ number: UInt64) throws -> Bool {
    var doubt: (any Error)?
    for _ in 0..<Self.doubts {
      let result: Creation
      do {
        result = try dataset.store.create(name, bytes)
      } catch {
        // What was made before, if anything was, is not told by this.
        guard let doubt else { throw error }
        throw UnsureCommit(snapshot: number, cause: doubt)
      }
      switch result {
      case .made: return true
      case .unflushed(let error): throw UnsureCommit(snapshot: number, cause: error)
      case .exists:
        do {
          return try dataset.manifestBytes(number) == bytes
        } catch {
          throw UnsureCommit(snapshot: number, cause: error)
        }
      case .unsure(let error):
        doubt = error
        dataset.session.pause(0.05)
      }
    }
    throw UnsureCommit(snapshot: number, cause: doubt ?? CommitRefusal.lostRaces(Self.doubts))
  }

  /// Whether the last snapshot is this one, or descends from it.
  ///
  /// It does not if the number was free because a snapshot that was there had been removed.
  private func isInLine(_ number: UInt64, _ digest: String) throws -> Bool {
    let later = try dataset.snapshotNumbers().filter { $0 > number }
    guard let next = later.first else { return true }
    guard next == number + 1, let manifest = try dataset.manifest(next) else { return false }
    return manifest.parent?.sha256 == digest
  }
}

internal import Storage

/// What became of what was given up.
enum GivingUp {
  /// It is gone.
  case gone
  /// Its records are gone; its files stay, since a commit is under way that may name them, and
  /// vol-gc(1) removes them else.
  case filesLeft
  /// A committer was faster: its snapshot keeps all of it.
  case committed(stage: String, snapshot: UInt64)
}

extension Dataset {
  /// Gives up what is staged: its records go first, and its files once nobody can be about to commit
  /// it; see vol-dataset(5), Committing.
  ///
  /// - Parameters:
  ///   - ids: the stages and tables.
  ///   - records: their records, if they are there.
  ///   - files: their files.
  /// - Returns: what became of them.
  /// - Throws: `IOFailure`; some may be given up then, and some of their files be left.
  func giveUp(
    _ ids: [String], records: [ObjectName], files: [ObjectName]
  ) throws -> GivingUp {
    let last = try snapshotNumbers().last ?? 0
    // As long as somebody may be about to commit them, no collector takes their files for a dead
    // writer's.
    let leases = try protect(ids)
    try store.remove(records)
    try store.flushRemovals(in: Layout.stages)
    let isBeingCommitted = try awaitCommitters(Lease.grace)
    var holder: (stage: String, snapshot: UInt64)?
    try forEachManifest(from: last) { manifest in
      let committed = manifest.committedIDs
      if holder == nil, let id = ids.first(where: committed.contains) {
        holder = (id, manifest.snapshot)
      }
    }
    // Others of these may still be named, as long as somebody commits.
    guard !isBeingCommitted else {
      return holder.map { .committed(stage: $0.stage, snapshot: $0.snapshot) } ?? .filesLeft
    }
    if holder == nil { try store.remove(files) }
    try? store.remove(leases)
    return holder.map { .committed(stage: $0.stage, snapshot: $0.snapshot) } ?? .gone
  }

  /// Takes leases on what is given up.
  ///
  /// - Returns: the leases, which go with the files; else they are left to the collector.
  private func protect(_ ids: [String]) throws -> [ObjectName] {
    let sessions = Set(ids.map { String($0.prefix(Session.digits)) })
    let names = sessions.sorted().map { Layout.lease($0, .giveUp) }
    for name in names { try store.touch(name, []) }
    return names
  }
}

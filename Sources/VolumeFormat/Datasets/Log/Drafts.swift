internal import Storage

/// What was written for a snapshot, which another committer may have made impossible: it is kept for
/// the next try, and removed if it is of no use.
final class Drafts<Source: Hashable, Draft> {
  private let store: any Store
  private var made: [Source: (draft: Draft, file: ObjectName?)] = [:]

  init(in store: any Store) { self.store = store }

  /// What was made of `source`, now by `make` or before.
  ///
  /// - Parameters:
  ///   - source: all that it depends on.
  ///   - make: makes it, and names the file that was written for it, if one was.
  /// - Returns: what was made.
  /// - Throws: what `make` throws.
  func draft(of source: Source, _ make: () throws -> (Draft, ObjectName?)) throws -> Draft {
    if let known = made[source] { return known.draft }
    let (draft, file) = try make()
    made[source] = (draft, file)
    return draft
  }

  /// Removes what was written and is not `used`.
  ///
  /// - Throws: `IOFailure`.
  func removeUnused(besides used: Set<ObjectName>) throws {
    try store.remove(made.values.compactMap(\.file).filter { !used.contains($0) }.sorted())
  }
}

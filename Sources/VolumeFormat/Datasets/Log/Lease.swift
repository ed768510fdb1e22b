internal import ByteIO
internal import Frames
package import Storage

/// A sign of life: as long as it is renewed, what its session makes is nobody's to remove, though no
/// document names it yet; see vol-dataset(5), Leases.
package final class Lease {
  static let format = "volpipe-lease"

  /// How often it is renewed, in seconds.
  package static let period = 60.0
  /// After so many seconds without renewal, its holder is taken for dead where nothing else is said.
  package static let grace = 86_400.0

  /// What its thread shares, and outlives it by a moment.
  private final class Hold: @unchecked Sendable {
    let store: any Store
    let name: ObjectName
    let bytes: [UInt8]
    let monitor = Monitor()
    /// Guarded by `monitor`.
    var isHeld = true

    init(_ store: any Store, _ name: ObjectName, _ bytes: [UInt8]) {
      self.store = store
      self.name = name
      self.bytes = bytes
    }

    /// Says that it is held no more; false if it was not.
    func release() -> Bool {
      monitor.update {
        defer { isHeld = false }
        return isHeld
      }
    }

    /// Renews it now and then until it is released; where that fails, the next time will do.
    func keep() {
      while monitor.sleep(Lease.period, unless: { !isHeld }) {
        monitor.update { if isHeld { try? store.touch(name, bytes) } }
      }
    }
  }

  private let hold: Hold

  /// Takes a lease.
  ///
  /// - Parameters:
  ///   - dataset: where.
  ///   - work: what for.
  ///   - tool: program and version.
  ///   - unfinished: removes it if a signal ends the process.
  /// - Throws: `IOFailure`; `ThreadRefused`.
  package init(
    _ dataset: Dataset, _ work: LeaseWork, tool: String, unfinished: UnfinishedObjects? = nil
  ) throws {
    let name = Layout.lease(dataset.session.name, work)
    let bytes = SealedDocument.encode([
      "format": .text(Self.format), "version": .integer(1), "dataset_id": .text(dataset.id),
      "created": .text(dataset.session.timestamp()), "tool": .text(tool),
      "work": .text(work.rawValue),
    ])
    let store = dataset.store
    hold = Hold(store, name, bytes)
    if let unfinished {
      try unfinished.making(name, in: store) { try store.touch(name, bytes) }
    } else {
      try store.touch(name, bytes)
    }
    guard dataset.session.renewsLeases else { return }
    do {
      _ = try WorkerThread { [hold] in hold.keep() }
    } catch {
      end()
      throw error
    }
  }

  deinit { end() }

  /// Gives it up.
  package func end() { if hold.release() { try? hold.store.remove([hold.name]) } }

  /// Leaves it to be taken for dead, since what it stands for may come to be named yet.
  package func leave() { _ = hold.release() }
}

extension Dataset {
  /// A lease that somebody holds, or held when it died.
  package struct HeldLease: Sendable {
    /// Its object.
    package var object: StoredObject
    /// Whose it is.
    package var session: String
    /// What for.
    package var work: LeaseWork
  }

  /// Waits for those who commit, and may have seen what is to go, up to ten seconds.
  ///
  /// - Parameter grace: seconds without renewal after which they are taken for dead.
  /// - Returns: whether some of those who had begun are at it still.
  /// - Throws: `IOFailure`.
  func awaitCommitters(_ grace: Double) throws -> Bool {
    func committers() throws -> [StoredObject] {
      try leases().filter { $0.work == .commit }.map(\.object)
    }
    let now = try store.now()
    let begun = try committers().filter { $0.modified > now - grace }
    // Of one that has not renewed its lease when it should have, no end will come.
    let isWaitOver = begun.contains { $0.modified < now - 3 * Lease.period }
    let names = Set(begun.map(\.name))
    for _ in 0..<100 where !begun.isEmpty && !isWaitOver {
      session.pause(0.1)
      if names.isDisjoint(with: try committers().map(\.name)) { return false }
    }
    return !begun.isEmpty
  }

  /// All leases that are there.
  ///
  /// - Throws: `IOFailure`.
  package func leases() throws -> [HeldLease] {
    try store.list(Layout.leases).compactMap { object in
      Layout.lease(object.name.file).map {
        HeldLease(object: object, session: $0.session, work: $0.work)
      }
    }
  }
}

public import ArgumentParser
internal import ByteIO
public import Datasets
internal import Frames
internal import ToolSupport

/// Opens the dataset that a user names, wherever it is kept.
///
/// - Throws: `IOFailure` if there is nothing of that name; `DatasetError` if it is something else;
///   `FormatError` if it is damaged.
public func openDataset(_ name: String) throws -> Dataset { try Dataset(opening: name) }

/// Opens it, or makes it if there is nothing.
///
/// - Throws: as `openDataset`.
public func createDataset(_ name: String) throws -> Dataset { try Dataset.create(name) }

/// A snapshot by its number and perhaps the digest of its manifest, from `N[:SHA256]`.
public struct SnapshotName: ExpressibleByArgument, Sendable, CustomStringConvertible {
  /// The number.
  public var number: UInt64
  /// The SHA-256 of the manifest, 64 hexadecimal digits; nil if any will do.
  public var sha256: String?

  /// Names a snapshot.
  public init(_ number: UInt64, sha256: String? = nil) {
    self.number = number
    self.sha256 = sha256
  }

  /// Reads `N[:SHA256]`.
  public init?(argument: String) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2, let number = UInt64(parts[0]) else { return nil }
    self.number = number
    guard parts.count == 2 else { return }
    let digits = String(parts[1])
    guard Names.isHexadecimal(digits, count: 64) else { return nil }
    sha256 = digits
  }

  /// What a change must follow.
  public var expected: ExpectedSnapshot { ExpectedSnapshot(number, sha256: sha256) }

  /// As it is written.
  public var description: String { "\(number)\(sha256.map { ":\($0)" } ?? "")" }
}

/// A dataset and perhaps one of its snapshots, from `DATASET[@N[:SHA256]]`.
public struct DatasetArgument: ExpressibleByArgument, Sendable {
  /// The dataset's directory.
  public var path: String
  /// The snapshot; nil for the last.
  public var snapshot: SnapshotName?

  /// A dataset's last snapshot.
  public init(path: String) { self.path = path }

  /// Reads `DATASET[@N[:SHA256]]`.
  public init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    path = argument
    // A directory whose name ends so is meant as it stands.
    if let sign = argument.lastIndex(of: "@"), !fileExists(argument), sign != argument.startIndex,
      let name = SnapshotName(argument: String(argument[argument.index(after: sign)...])),
      name.number > 0
    {
      path = String(argument[..<sign])
      snapshot = name
    }
  }

  /// Refuses a URL.
  ///
  /// - Throws: `ValidationError` that names it.
  public func requireLocal() throws { try ToolSupport.requireLocal(path) }

  /// Opens the dataset.
  ///
  /// - Throws: what `Dataset.init(opening:)` does.
  public func open() throws -> Dataset { try openDataset(path) }

  /// Opens the snapshot; the last one if none was named.
  ///
  /// - Parameter expected: a snapshot that this must be, or descend from.
  /// - Returns: the snapshot.
  /// - Throws: `ToolFailure` if there is none; `FormatError` if its digest is another than was named,
  ///   or if it does not descend from `expected`.
  public func openSnapshot(expecting expected: SnapshotName? = nil) throws -> Snapshot {
    let dataset = try open()
    guard let result = try Snapshot(dataset, number: snapshot?.number) else {
      throw ToolFailure(
        .noInput,
        snapshot.map { "'\(path)' has no snapshot \($0.number); vol-ls --snapshots lists them" }
          ?? "'\(path)' has no snapshot yet; vol-commit makes one")
    }
    for name in [snapshot, expected].compactMap(\.self) {
      try dataset.require(name.number, sha256: name.sha256, before: result.manifest.snapshot)
    }
    return result
  }
}

extension Dataset {
  /// The name of a snapshot with the digest of its manifest, as `--expect` takes it.
  ///
  /// - Throws: `FormatError` if its manifest is too long; `IOFailure`.
  public func pinned(_ number: UInt64) throws -> String {
    SnapshotName(number, sha256: try digest(ofSnapshot: number)).description
  }
}

/// `--expect`, the same in every tool that reads.
public struct ExpectOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Go on only if snapshot N is there, with this digest, and what is read is it or follows it.",
      valueName: "n[:sha256]"))
  var expect: SnapshotName?

  /// For ArgumentParser.
  public init() {}

  /// The snapshot that is expected.
  public var snapshot: SnapshotName? { expect }
}

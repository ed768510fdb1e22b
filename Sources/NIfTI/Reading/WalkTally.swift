internal import ByteIO
internal import SystemPackage

/// What a walk did not read: files of other kinds, and folders that BIDS keeps apart.
public struct WalkTally: Sendable {
  /// So many kinds of files are told apart.
  private static let maximumKinds = 100
  /// So many folders are named.
  private static let maximumNames = 5
  /// Endings of what describes volumes and is no volume, so that nobody misses it.
  private static let companions: Set<String> = [
    "json", "tsv", "csv", "txt", "md", "rst", "yml", "yaml", "log", "html", "py",
    "sh", "m",
  ]

  private var kinds: [String: Int] = [:]
  private var leftOut = 0
  private var names: [String] = []

  /// Nothing.
  init() {}

  /// Counts a file that no volume's is called like.
  mutating func passOver(_ name: FilePath.Component) {
    var name = FilePath(name.string)
    let compression = SourcePath.compression(of: name)
    if compression != nil { name.extension = nil }
    let ending = name.extension.map { $0.lowercased() }
    if let ending, Self.companions.contains(ending) { return }
    // README, CHANGES and LICENSE are those of a data set.
    if ending == nil, name.string.uppercased() == name.string { return }
    let kind = ([ending] + [compression]).compactMap(\.self).map { ".\($0)" }.joined()
    let known = kinds[kind] != nil || kinds.count < Self.maximumKinds
    kinds[known ? bounded(kind, 20) : "other", default: 0] += 1
  }

  /// Counts a file or a folder that is left out by rule.
  mutating func leaveOut(_ path: FilePath) {
    leftOut += 1
    if names.count < Self.maximumNames { names.append(path.string) }
  }

  /// Adds what another walk did not read.
  mutating func merge(_ other: WalkTally) {
    for (kind, count) in other.kinds {
      let known = kinds[kind] != nil || kinds.count < Self.maximumKinds
      kinds[known ? kind : "other", default: 0] += count
    }
    leftOut += other.leftOut
    names += other.names.prefix(Self.maximumNames - names.count)
  }

  /// Such as `12 files of other kinds: 8 .dcm, 4 .mgz`; nil if there is none.
  var others: String? {
    guard !kinds.isEmpty else { return nil }
    let sorted = kinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let shown = sorted.prefix(8).map { "\($0.value) \($0.key.isEmpty ? "without ending" : $0.key)" }
    let all = kinds.values.reduce(0, +)
    return "\(counted(all, "file")) of other kinds: \(shown.joined(separator: ", "))"
      + (sorted.count > shown.count ? ", ..." : "")
  }

  /// What is to be said of it at the end of a run, a line each.
  public var remarks: [String] {
    var remarks: [String] = []
    if let others { remarks.append("passed over \(others)") }
    if leftOut > 0 {
      let shown = names.map { "'\(bounded($0, 200))'" }.joined(separator: ", ")
      remarks.append(
        "left out \(leftOut) by rule: \(shown)\(leftOut > names.count ? ", ..." : "") (a path that "
          + "is named is read)")
    }
    return remarks
  }
}

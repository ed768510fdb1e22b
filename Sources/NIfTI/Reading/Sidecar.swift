internal import ByteIO
internal import SystemPackage
internal import Frames

/// The JSON files that say more of volumes, as BIDS has them: the one beside a volume's file, and
/// those of outer folders that go for it too.
///
/// One goes for a volume if its suffix is the volume's and each of its entities is one of the
/// volume's; what an inner one says holds before what an outer one does. The outermost folder is the
/// one above `sub-XX`, or before it one with a `dataset_description.json`.
/// Source: the inheritance principle of the BIDS specification, version 1.10.
final class Sidecars: @unchecked Sendable {
  /// The most bytes that one may have.
  static let maximumBytes = 1 << 20

  /// How many bytes a byte of JSON may become when it is decoded.
  private static let growth = 64
  /// So many folders are remembered.
  private static let maximumFolders = 64

  /// What the sidecars of a volume say.
  struct Found {
    var object = JSONObject()
    var quirks: [String] = []
  }

  /// The JSON files of a folder that may go for many volumes.
  private struct Folder {
    var files: [(name: FilePath.Component, entities: BIDSName.Entities)]
    var isRoot: Bool
  }

  private let monitor = Monitor()
  private var folders: [FilePath: Folder] = [:]

  /// What is said of a volume; nil if there is no sidecar.
  ///
  /// - Throws: `FormatError` for anything but objects of at most 1 MiB; `NIfTIError` for a file
  ///   that is absent; `PassedOver` for what is no file; `IOFailure`.
  func read(beside files: SourcePath, claim: (Int) throws -> Void) throws -> Found? {
    if files.isStandardInput { return nil }
    var result: Found?
    for (path, quirk) in try paths(of: files) {
      guard let (object, repeated) = try read(path, claim) else { continue }
      var found = result ?? Found()
      found.object.merge(object)
      found.quirks += repeated.map { "'\($0)' is twice in its sidecar, the last counts" }
      if let quirk { found.quirks.append(quirk) }
      result = found
    }
    return result
  }

  /// The files that go for a volume, the outermost first, and what is odd about each.
  private func paths(of files: SourcePath) throws -> [(FilePath, quirk: String?)] {
    guard let own = BIDSName.Entities(files.name), own.labels["sub"] != nil else {
      return [(files.sidecar, nil)]
    }
    var result: [(FilePath, quirk: String?)] = []
    for path in Self.levels(of: files.header) {
      let folder = try folder(path)
      let found = folder.files.filter { $0.entities.go(for: own) }
        .sorted { $0.entities.labels.count > $1.entities.labels.count }
      for (number, file) in found.enumerated() {
        let quirk =
          number > 0
          ? "'\(file.name)' and '\(found[0].name)' of one folder go for it; the latter holds" : nil
        result.append((path.appending(file.name), quirk))
      }
      if folder.isRoot { break }
    }
    return result.reversed()
  }

  /// The folders that sidecars of a file may be in, the file's own first, and as the last the one
  /// above that of its subject, if it is in such a one.
  private static func levels(of file: FilePath) -> [FilePath] {
    var path = file.removingLastComponent()
    var levels = [path]
    while let name = path.lastComponent {
      path.removeLastComponent()
      levels.append(path)
      if BIDSName(name.string) != nil { return levels }
    }
    return Array(levels.prefix(1))
  }

  private func folder(_ path: FilePath) throws -> Folder {
    if let known = monitor.update({ folders[path] }) { return known }
    let names = try directoryEntries(path.isEmpty ? "." : path)
    let folder = Folder(
      files: names.compactMap { name in
        guard name.extension == "json", let entities = BIDSName.Entities(name.stem) else {
          return nil
        }
        return (name, entities)
      },
      isRoot: names.contains { $0.string == BIDSRoot.description })
    monitor.update {
      if folders.count >= Self.maximumFolders { folders = [:] }
      folders[path] = folder
    }
    return folder
  }

  private func read(
    _ path: FilePath, _ claim: (Int) throws -> Void
  ) throws -> (object: JSONObject, repeated: [ExactString])? {
    guard let kind = try FoundFile.status(of: path)?.kind else { return nil }
    if kind.mayBlock { throw PassedOver(path, kind.rawValue) }
    let bytes = try PlainStream(FoundFile.open(path), head: []).take(Self.maximumBytes + 1)
    guard bytes.count <= Self.maximumBytes else {
      throw FormatError(path.string, "a sidecar may have 1 MiB, and it has more")
    }
    if bytes.count > 1 << 14 { try claim(bytes.count * Self.growth) }
    let (value, repeated) = try JSON.parse(bytes, in: path.string)
    guard case .object(let object) = value else {
      throw FormatError(path.string, "it is no JSON object")
    }
    return (object, repeated)
  }
}

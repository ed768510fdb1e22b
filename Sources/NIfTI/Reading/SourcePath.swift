internal import ByteIO
public import SystemPackage

/// The file or the two files that one volume is in, by their names.
public struct SourcePath: Sendable, Equatable {
  /// The single file, or the header of a pair; `-` is standard input.
  public var header: FilePath
  /// The voxels' file of a pair.
  public var image: FilePath?
  /// The path by which standard input is known, if it has one.
  public var alias: FilePath?

  /// What the ending of a name promises.
  enum Role {
    case single, header, image
  }

  /// Finds the files that belong to the path of a file, which may be either of a pair.
  ///
  /// - Throws: `NIfTIError` if one of a pair is missing.
  public init(_ path: FilePath) throws(NIfTIError) {
    header = path
    switch Self.role(of: path) {
    case .header: image = try Self.partner(of: path, "img")
    case .image:
      header = try Self.partner(of: path, "hdr")
      image = path
    case .single, nil: break
    }
  }

  /// Whether this is standard input.
  public var isStandardInput: Bool { StandardStream.isMeant(by: header) }

  /// Whether this is a pipe that the shell made, as `-` and `<(...)` are, which is waited for.
  var isPipeOfShell: Bool {
    if isStandardInput || header == "/dev/stdin" { return true }
    return ["/dev/fd", "/proc/self/fd"].contains(header.removingLastComponent())
  }

  /// The path by which the volume is known.
  public var known: FilePath { alias ?? header }

  /// The single file, or the header and the image.
  var files: [FilePath] { [header] + (image.map { [$0] } ?? []) }

  /// The name of the volume: without folder and endings.
  public var name: String {
    if StandardStream.isMeant(by: known) { return "stdin" }
    var path = known
    if Self.role(of: path) != nil {
      path = Self.uncompressed(path)
      path.extension = nil
    }
    // As bytes that are no UTF-8 become U+FFFD, so do those that no name may hold.
    let name = (path.lastComponent?.string ?? "").unicodeScalars
    return String(
      String.UnicodeScalarView(
        name.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
  }

  /// The names of the folders on the path by which the volume is known, the outermost first.
  var folders: [String] { known.removingLastComponent().components.map(\.string) }

  /// The JSON file beside it that may say more of the volume.
  public var sidecar: FilePath {
    var path = header
    if Self.role(of: header) != nil {
      path = Self.uncompressed(header)
      path.extension = "json"
    } else {
      path.extension = (path.extension.map { "\($0)." } ?? "") + "json"
    }
    return path
  }

  /// The size of its files in bytes, as far as it is known.
  public var size: UInt64 {
    // Two files of at most 2^63 - 1 bytes.
    files.reduce(0) { sum, path in sum + ((try? FileStatus(path))?.size ?? 0) }
  }

  // MARK: Endings, which systems without lower case left in several spellings

  private static let compressions = ["gz", "zst"]

  /// What the name of `path` promises; nil if it is not that of a volume's file.
  static func role(of path: FilePath) -> Role? {
    switch uncompressed(path).extension?.lowercased() {
    case "nii": .single
    case "hdr": .header
    case "img": .image
    default: nil
    }
  }

  /// The paths that the other file of a pair may have, which ends in `ending`; the one that is
  /// compressed alike comes first.
  static func partners(of path: FilePath, _ ending: String) -> [FilePath] {
    let own = compression(of: path)
    let others = [nil] + compressions
    return ([own] + others.filter { $0 != own }).flatMap { compression in
      let whole = compression.map { "\(ending).\($0)" } ?? ending
      let capitalised = whole.prefix(1).uppercased() + whole.dropFirst()
      return [whole, whole.uppercased(), capitalised].map { spelling in
        var partner = uncompressed(path)
        partner.extension = spelling
        return partner
      }
    }
  }

  private static func partner(
    of path: FilePath, _ ending: String
  ) throws(NIfTIError) -> FilePath {
    let candidates = partners(of: path, ending)
    // A link whose target is not there is the partner all the same: which of several files is
    // taken does not depend on what was fetched.
    let isThere = { (path: FilePath) in (try? FileStatus(path, following: false)) != nil }
    guard let partner = candidates.first(where: isThere) else {
      let plain = candidates.first { $0.extension == ending } ?? candidates[0]
      throw NIfTIError(path.string, "'\(plain.string)' is missing", kind: .missing)
    }
    return partner
  }

  static func compression(of path: FilePath) -> String? {
    path.extension.map { $0.lowercased() }.flatMap { compressions.contains($0) ? $0 : nil }
  }

  private static func uncompressed(_ path: FilePath) -> FilePath {
    guard compression(of: path) != nil else { return path }
    var path = path
    path.extension = nil
    return path
  }
}

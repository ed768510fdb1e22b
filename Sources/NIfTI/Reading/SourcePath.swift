internal import ByteIO
internal import Glibc

/// The file or the two files that one volume is in, by their names.
public struct SourcePath: Sendable, Equatable {
  /// The single file, or the header of a pair; `-` is standard input.
  public var header: String
  /// The voxels' file of a pair.
  public var image: String?

  static let singleSuffixes = [".nii", ".nii.gz"]
  static let headerSuffixes = [".hdr", ".hdr.gz"]
  static let imageSuffixes = [".img", ".img.gz"]

  /// Finds the files that belong to the path of a file, which may be either of a pair.
  ///
  /// - Throws: `NIfTIError` if one of a pair is missing.
  public init(_ path: String) throws(NIfTIError) {
    header = path
    if let stem = Self.stem(path, Self.headerSuffixes) {
      guard let image = Self.partner(stem, path, Self.imageSuffixes) else {
        throw NIfTIError(path, "'\(stem).img' is missing", kind: .missing)
      }
      self.image = image
    } else if let stem = Self.stem(path, Self.imageSuffixes) {
      guard let header = Self.partner(stem, path, Self.headerSuffixes) else {
        throw NIfTIError(path, "'\(stem).hdr' is missing", kind: .missing)
      }
      self.header = header
      image = path
    }
  }

  /// Whether a walk takes a file of this name.
  static func isVolume(_ name: String) -> Bool {
    stem(name, singleSuffixes + headerSuffixes + imageSuffixes) != nil
  }

  /// The name of the volume: without folder and suffix.
  public var name: String {
    if header == "-" { return "stdin" }
    var name = header[...]
    while name.hasSuffix("/") { name = name.dropLast() }
    name = name[(name.lastIndex(of: "/").map(name.index(after:)) ?? name.startIndex)...]
    let suffixes = Self.singleSuffixes + Self.headerSuffixes + Self.imageSuffixes
    return Self.stem(String(name), suffixes) ?? String(name)
  }

  /// The size of its files in bytes, as far as it is known.
  public var size: UInt64 {
    ([header] + (image.map { [$0] } ?? [])).reduce(0) { sum, path in
      var status = stat()
      return stat(path, &status) == 0 ? sum + UInt64(max(0, status.st_size)) : sum
    }
  }

  /// `path` without the longest of `suffixes` that it has, in lower or upper case.
  static func stem(_ path: String, _ suffixes: [String]) -> String? {
    let lower = path.lowercased()
    for suffix in suffixes.sorted(by: { $0.utf8.count > $1.utf8.count })
    where lower.hasSuffix(suffix) && lower.utf8.count > suffix.utf8.count {
      return String(path.dropLast(suffix.count))
    }
    return nil
  }

  /// A suffix in the ways in which systems without lower case left it.
  static func spellings(_ suffix: String) -> [String] {
    let capitalised = "." + suffix.dropFirst().prefix(1).uppercased() + suffix.dropFirst(2)
    return [suffix, suffix.uppercased(), capitalised]
  }

  /// The other file of a pair, compressed alike if there is a choice.
  private static func partner(_ stem: String, _ path: String, _ suffixes: [String]) -> String? {
    let isCompressed = path.lowercased().hasSuffix(".gz")
    let alike = suffixes.filter { $0.hasSuffix(".gz") == isCompressed }
    let others = suffixes.filter { $0.hasSuffix(".gz") != isCompressed }
    return (alike + others).flatMap(spellings).map { stem + $0 }.first(where: fileExists)
  }
}

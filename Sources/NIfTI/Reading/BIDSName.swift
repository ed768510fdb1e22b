internal import ByteIO
public import Frames

/// The entities of a file's name and of its folders, as the Brain Imaging Data Structure writes
/// them: `sub-01/ses-2/anat/sub-01_ses-2_T1w`.
///
/// A label is all that stands before the next `_`, whatever it is: of two labels that differ in a
/// byte none becomes the other. Bytes are looked at and not characters, since Swift takes an `_`
/// and an accent behind it for one character, and two spellings of a letter for one text.
public struct BIDSName {
  /// The label of `sub-`.
  public var subject: String
  /// Keys with their labels, and `suffix`.
  public var attributes = JSONObject()
  /// The subject's label of its folder, if that is another.
  public var otherSubject: String?

  /// Reads a name; nil if neither it nor a folder begins with a subject.
  ///
  /// What the name says holds before what a folder says, and an inner folder before an outer one.
  /// Folders above that of the subject say nothing.
  ///
  /// - Parameters:
  ///   - name: without folder and endings.
  ///   - folders: the names of the folders that lead to it, the outermost first.
  public init?(_ name: String, in folders: [String] = []) {
    let above = folders.lastIndex { Self.subject(of: $0) != nil }
    let own = Self.subject(of: name)
    let others = above.map { folders[$0...].reversed() } ?? []
    guard let subject = own ?? above.flatMap({ Self.subject(of: folders[$0]) }) else { return nil }
    self.subject = subject
    take(name)
    for folder in others { take(folder) }
    if let other = above.flatMap({ Self.subject(of: folders[$0]) }),
      ExactString(other) != ExactString(subject)
    {
      otherSubject = other
    }
    let parts = Self.parts(of: name)
    if own == nil || parts.count > 1, let last = parts.last, !last.isEmpty,
      !last.contains(UInt8(ascii: "-")), attributes["suffix"] == nil
    {
      attributes["suffix"] = .text(String(Substring(last)))
    }
  }

  /// Takes the entities of a name that are not known yet.
  private mutating func take(_ name: String) {
    for part in Self.parts(of: name) {
      guard let hyphen = part.firstIndex(of: UInt8(ascii: "-")) else { continue }
      let (key, label) = (part[..<hyphen], part[part.index(after: hyphen)...])
      guard !key.isEmpty, !label.isEmpty, key.allSatisfy(Self.isAlphanumeric) else { continue }
      let name = ExactString(String(Substring(key)))
      if attributes[name] == nil { attributes[name] = .text(String(Substring(label))) }
    }
  }

  private static func parts(of name: String) -> [Substring.UTF8View] {
    name.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
  }

  /// The label of the subject that a name begins with.
  private static func subject(of name: String) -> String? {
    guard let first = parts(of: name).first, first.starts(with: "sub-".utf8), first.count > 4 else {
      return nil
    }
    return String(Substring(first.dropFirst(4)))
  }

  /// The entities of a name and its suffix, where it has nothing else.
  struct Entities {
    /// Labels by their keys.
    var labels: [ExactString: ExactString] = [:]
    /// The last part.
    var suffix: ExactString

    /// Reads a name without folder and endings; nil if a part but the last is no entity, or the
    /// last is one.
    init?(_ name: String) {
      let parts = BIDSName.parts(of: name)
      guard let last = parts.last, !last.isEmpty, !last.contains(UInt8(ascii: "-")) else {
        return nil
      }
      suffix = ExactString(String(Substring(last)))
      for part in parts.dropLast() {
        guard let hyphen = part.firstIndex(of: UInt8(ascii: "-")), hyphen != part.startIndex else {
          return nil
        }
        labels[ExactString(String(Substring(part[..<hyphen])))] =
          ExactString(String(Substring(part[part.index(after: hyphen)...])))
      }
    }

    /// Whether what this is the name of goes for what `other` is the name of.
    func go(for other: Entities) -> Bool {
      suffix == other.suffix && labels.allSatisfy { other.labels[$0.key] == $0.value }
    }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: false
    }
  }
}

internal import ByteIO
public import VolumeFormat

/// The entities of a file's name, as the Brain Imaging Data Structure writes them:
/// `sub-01_ses-2_T1w`.
///
/// A label is all that stands before the next `_`, whatever it is: of two labels that differ in a
/// byte none becomes the other. Bytes are looked at and not characters, since Swift takes an `_`
/// and an accent behind it for one character, and two spellings of a letter for one text.
public struct BIDSName {
  /// The label of `sub-`.
  public var subject: String
  /// Keys with their labels, and `suffix`.
  public var attributes = JSONObject()

  /// Reads a name without folder and endings; nil if it does not begin with a subject.
  public init?(_ name: String) {
    let parts = name.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
    guard let first = parts.first, first.starts(with: "sub-".utf8), first.count > 4 else {
      return nil
    }
    subject = String(Substring(first.dropFirst(4)))
    for part in parts {
      guard let hyphen = part.firstIndex(of: UInt8(ascii: "-")) else { continue }
      let (key, label) = (part[..<hyphen], part[part.index(after: hyphen)...])
      guard !key.isEmpty, !label.isEmpty, key.allSatisfy(Self.isAlphanumeric) else { continue }
      let name = ExactString(String(Substring(key)))
      if attributes[name] == nil { attributes[name] = .text(String(Substring(label))) }
    }
    if parts.count > 1, let last = parts.last, !last.isEmpty, !last.contains(UInt8(ascii: "-")),
      attributes["suffix"] == nil
    {
      attributes["suffix"] = .text(String(Substring(last)))
    }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: false
    }
  }
}

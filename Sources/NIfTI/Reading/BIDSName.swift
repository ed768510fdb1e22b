internal import ByteIO
public import VolumeFormat

/// The entities of a file's name, as the Brain Imaging Data Structure writes them:
/// `sub-01_ses-2_T1w`.
public struct BIDSName {
  /// The label of `sub-`.
  public var subject: String
  /// Keys with their labels, and `suffix`.
  public var attributes = JSONObject()

  /// Reads a name without folder and endings; nil if it does not begin with a subject.
  public init?(_ name: String) {
    let parts = name.split(separator: "_", omittingEmptySubsequences: false)
    guard parts[0].hasPrefix("sub-") else { return nil }
    // Whatever follows the label of the subject, in `sub-01.old` say, is not part of it.
    let label = parts[0].dropFirst(4).prefix(while: Self.isLabel)
    if label.isEmpty { return nil }
    subject = String(label)
    attributes["sub"] = .text(subject)
    for part in parts {
      guard let hyphen = part.firstIndex(of: "-") else { continue }
      let (key, label) = (part[..<hyphen], part[part.index(after: hyphen)...])
      guard !key.isEmpty, !label.isEmpty, key.allSatisfy({ Self.isLabel($0) && $0 != "+" }),
        label.allSatisfy(Self.isLabel), attributes[ExactString(String(key))] == nil
      else { continue }
      attributes[ExactString(String(key))] = .text(String(label))
    }
    if parts.count > 1, let last = parts.last, !last.isEmpty, last.allSatisfy(Self.isLabel),
      attributes["suffix"] == nil
    {
      attributes["suffix"] = .text(String(last))
    }
  }

  private static func isLabel(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber) || character == "+"
  }
}

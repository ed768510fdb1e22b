public import ByteIO

/// What ids and collection names may be: never a path out of the dataset.
public enum Names {
  /// The longest id or name, in bytes of UTF-8.
  public static let maximumBytes = 255
  /// The longest name of a source.
  public static let maximumSourceBytes = 1024

  /// What is wrong with an `obs_id` or an `obs_subject_id`, or nil.
  public static func defect(ofID id: ExactString) -> String? {
    if id.isEmpty { return "it is empty" }
    if id.utf8.count > maximumBytes { return "it is over \(maximumBytes) bytes long" }
    if id == "." || id == ".." { return "it is a name of a directory" }
    if id.utf8.contains(0x2F) { return "it holds a '/'" }
    return controlCharacter(in: id)
  }

  /// What is wrong with the name of a collection, or nil.
  public static func defect(ofCollection name: ExactString) -> String? {
    if name.utf8.first == 0x2D { return "it begins with '-'" }
    return defect(ofID: name)
  }

  /// What is wrong with the `name` of a source, or nil.
  public static func defect(ofSource name: ExactString) -> String? {
    if name.isEmpty { return "it is empty" }
    if name.utf8.count > maximumSourceBytes {
      return "it is over \(maximumSourceBytes) bytes long"
    }
    return controlCharacter(in: name)
  }

  private static func controlCharacter(in name: ExactString) -> String? {
    // C0 and DEL are single bytes; C1 is C2 and a byte up to 9F.
    var last: UInt8 = 0
    for byte in name.utf8 {
      if byte < 0x20 || byte == 0x7F || (last == 0xC2 && byte < 0xA0) {
        return "it holds a control character"
      }
      last = byte
    }
    return nil
  }

  /// Two names that are the same text to a person in different bytes.
  ///
  /// They would be two collections that nobody could tell apart.
  package static func firstSpeltTwoWays(_ names: [ExactString]) -> (ExactString, ExactString)? {
    // Swift's own comparison of text is by what it means.
    var spelling: [String: ExactString] = [:]
    for name in names {
      if let other = spelling.updateValue(name, forKey: name.string), other != name {
        return (other, name)
      }
    }
    return nil
  }

  /// Whether `text` is `count` lower-case hexadecimal digits.
  public static func isHexadecimal(_ text: String, count: Int) -> Bool {
    text.utf8.count == count
      && text.allBytes { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

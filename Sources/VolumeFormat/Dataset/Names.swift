/// What ids and collection names may be: never a path out of the dataset.
public enum Names {
  /// The longest id or name, in bytes of UTF-8.
  public static let maximumBytes = 255

  /// What is wrong with an `obs_id` or an `obs_subject_id`, or nil.
  public static func defect(ofID id: String) -> String? {
    if id.isEmpty { return "it is empty" }
    if id.utf8.count > maximumBytes { return "it is over \(maximumBytes) bytes long" }
    if id == "." || id == ".." { return "it is a name of a directory" }
    if id.utf8.contains(0x2F) { return "it holds a '/'" }
    if id.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
      return "it holds a control character"
    }
    return nil
  }

  /// What is wrong with the name of a collection, or nil.
  public static func defect(ofCollection name: String) -> String? {
    if name.utf8.first == 0x2D { return "it begins with '-'" }
    return defect(ofID: name)
  }

  /// Two names that are the same text to a person, and to Swift, in different bytes.
  ///
  /// Such names would be one collection to some readers and two to others.
  static func firstSpeltTwoWays(_ names: [String]) -> (String, String)? {
    var spelling: [String: String] = [:]
    for name in names {
      guard let other = spelling.updateValue(name, forKey: name) else { continue }
      if !other.utf8.elementsEqual(name.utf8) { return (other, name) }
    }
    return nil
  }

  /// Whether `text` is `count` lower-case hexadecimal digits.
  static func isHexadecimal(_ text: String, count: Int) -> Bool {
    text.utf8.count == count
      && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

/// A file of profiles, as `~/.aws/credentials` and `~/.aws/config` are: sections with a name, keys
/// and values.
///
/// Source: "Configuration and credential file settings", AWS CLI User Guide.
package struct ProfileFile {
  private var profiles: [String: [String: String]] = [:]

  /// Reads a file's text.
  ///
  /// - Parameters:
  ///   - text: lines; what is neither a section nor a setting is passed over.
  ///   - isConfiguration: whether sections of profiles but the default's are called `profile NAME`.
  package init(_ text: String, isConfiguration: Bool) {
    var section: String?
    for line in text.split(whereSeparator: \.isNewline) {
      let bare = Self.trimmed(line)
      guard !bare.isEmpty, !bare.hasPrefix("#"), !bare.hasPrefix(";") else { continue }
      if bare.hasPrefix("["), let end = bare.firstIndex(of: "]") {
        section = Self.profile(
          Self.trimmed(bare[bare.index(after: bare.startIndex)..<end]), isConfiguration)
        continue
      }
      // An indented line belongs to a setting that has settings of its own.
      guard let section, let first = line.first, !first.isWhitespace,
        let sign = bare.firstIndex(of: "=")
      else { continue }
      let key = Self.trimmed(bare[..<sign]).lowercased()
      profiles[section, default: [:]][key] = Self.trimmed(bare[bare.index(after: sign)...])
    }
  }

  /// The settings of a profile; nil if there is none of that name.
  package subscript(_ name: String) -> [String: String]? { profiles[name] }

  private static func profile(_ title: String, _ isConfiguration: Bool) -> String? {
    guard isConfiguration, title != "default" else { return title }
    let words = title.split(whereSeparator: \.isWhitespace)
    return words.count == 2 && words[0] == "profile" ? String(words[1]) : nil
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    let spaces: Set<Character> = [" ", "\t", "\r"]
    var rest = Substring(text)
    while let last = rest.last, spaces.contains(last) { rest.removeLast() }
    return String(rest.drop { spaces.contains($0) })
  }
}

internal import ByteIO
internal import CPCRE2

/// Which files and folders below a folder are left out, as the lines of a `.gitignore` say it.
///
/// `*` and `?` stand for anything but `/`, `**` for anything, `[a-z]` for one of a range. A pattern
/// without `/`, but for one at its end, is that of a name at any depth; any other begins at the
/// folder. `/` at the end means folders only. `!` takes back what earlier patterns say; the last
/// one that matches holds. Source: gitignore(5), which `.bidsignore` follows.
public struct PathRules: Sendable {
  private struct Rule: Sendable {
    var pattern: Pattern
    var isOfName: Bool
    var isForFolders: Bool
    var leavesOut: Bool
  }

  private var rules: [Rule] = []

  /// No rule.
  public init() {}

  /// Whether there is none.
  public var isEmpty: Bool { rules.isEmpty }

  /// Adds the rule of a line, which may be empty or a comment.
  ///
  /// - Throws: `Pattern.SyntaxError`.
  public mutating func add(_ line: String) throws(Pattern.SyntaxError) {
    var text = Array(line.utf8)[...]
    while text.last == 0x20 || text.last == 0x09 || text.last == 0x0D { text.removeLast() }
    guard let first = text.first, first != UInt8(ascii: "#") else { return }
    let leavesOut = first != UInt8(ascii: "!")
    if !leavesOut { text.removeFirst() }
    let isForFolders = text.last == UInt8(ascii: "/")
    if isForFolders { text.removeLast() }
    let isOfName = !text.contains(UInt8(ascii: "/"))
    if text.first == UInt8(ascii: "/") { text.removeFirst() }
    guard !text.isEmpty else { return }
    rules.append(
      Rule(
        pattern: try Pattern(glob: String(decoding: text, as: UTF8.self)), isOfName: isOfName,
        isForFolders: isForFolders, leavesOut: leavesOut))
  }

  /// Whether a file or a folder is left out.
  ///
  /// - Parameters:
  ///   - path: the names that lead to it from the folder of the rules, and its own; not empty.
  ///   - isFolder: what it is.
  /// - Returns: what the last rule says that matches.
  public func leaveOut(_ path: [String], isFolder: Bool) -> Bool {
    let whole = Array(path.joined(separator: "/").utf8)
    let name = Array((path.last ?? "").utf8)
    let rule = rules.last { rule in
      guard isFolder || !rule.isForFolders else { return false }
      // One that takes too many steps leaves nothing out.
      return (try? rule.pattern.firstMatch(in: rule.isOfName ? name : whole)) ?? nil != nil
    }
    return rule?.leavesOut == true
  }
}

extension Pattern {
  /// Compiles a pattern of a shell, as that of a whole text; `**` also matches `/`.
  ///
  /// - Throws: `SyntaxError`.
  convenience init(glob: String) throws(SyntaxError) {
    var converted: UnsafeMutablePointer<UInt8>?
    var length = 0
    let bytes = Array(glob.utf8)
    let options = UInt32(PCRE2_CONVERT_GLOB) | UInt32(PCRE2_CONVERT_UTF)
    let status = pcre2_pattern_convert_8(
      bytes, bytes.count, options, &converted, &length, nil)
    defer { pcre2_converted_pattern_free_8(converted) }
    guard status == 0, let converted else {
      throw SyntaxError(reason: Self.message(of: status), offset: length)
    }
    try self.init(
      String(decoding: UnsafeBufferPointer(start: converted, count: length), as: UTF8.self))
  }
}

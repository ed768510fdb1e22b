internal import Frames
internal import ByteIO

/// Finds out whether a column would be one of numbers but for a few words, such as `-` or `NaN`,
/// which people write where a number is missing.
struct NumberTokens {
  /// A column with more different words is one of text.
  private static let maximum = 3
  /// A longer word is none that stands for a missing number.
  private static let maximumLength = 32

  private var numbers = 0
  private var words: [(text: ExactString, line: Int)] = []
  private var isText = false

  /// Takes a value in line `line`.
  mutating func note(_ kind: SubjectColumn.Kind, _ text: ExactString, _ line: Int) {
    if kind == .number {
      numbers += 1
    } else if !isText, !words.contains(where: { $0.text == text }) {
      isText =
        words.count == Self.maximum || text.utf8.count > Self.maximumLength || kind != .text
      words.append((text, line))
    }
  }

  /// What is to be said, or nil.
  var remark: String? {
    guard numbers > 0, !words.isEmpty, !isText else { return nil }
    let found = words.map { "'\($0.text)' (line \($0.line))" }.joined(separator: ", ")
    let options = words.map { "--missing '\($0.text)'" }.joined(separator: " ")
    return "\(found) \(words.count == 1 ? "is none" : "are none"); \(options) passes over "
      + (words.count == 1 ? "it" : "them")
  }
}

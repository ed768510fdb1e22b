internal import ByteIO
internal import SystemPackage
internal import Frames

/// A regular expression by which a path tells the subject, and attributes.
///
/// The subject is the group named `subject`, else the first group without a name, if there is one;
/// other groups with names are attributes.
public struct SubjectRule: Sendable {
  /// An expression without a group.
  public struct NoGroup: Error {}

  private let pattern: Pattern
  private let subjectGroup: Int?
  private let attributeGroups: [Int: ExactString]

  /// Reads an expression with at least one group.
  ///
  /// - Throws: `Pattern.SyntaxError`; `NoGroup`.
  public init(_ text: String) throws {
    pattern = try Pattern(text)
    guard pattern.groupCount > 0 else { throw NoGroup() }
    let names = pattern.groupNames
    subjectGroup =
      names.first { $0.value == "subject" }?.key
      ?? (1...pattern.groupCount).first { names[$0] == nil }
    attributeGroups = names.filter { $0.value != "subject" }
  }

  /// What a path tells.
  ///
  /// - Returns: the subject, nil if the expression has no group for it; the attributes whose groups
  ///   took part.
  /// - Throws: `NIfTIError` if the expression does not match, or a group is empty that is the
  ///   subject, or is no text.
  func match(_ path: FilePath) throws -> (subject: ExactString?, attributes: JSONObject) {
    // As they are: bytes that are no text would become U+FFFD, and two subjects one.
    let bytes = path.withPlatformString { start in
      Array(UnsafeBufferPointer(start: start, count: path.length).lazy.map(UInt8.init(bitPattern:)))
    }
    let groups: [[UInt8]?]?
    do throws(Pattern.TooManySteps) {
      groups = try pattern.firstMatch(in: bytes)
    } catch {
      throw NIfTIError(path.string, "--subject-from takes too many steps to match its path")
    }
    let failure = NIfTIError(path.string, "--subject-from does not match its path")
    guard let groups else { throw failure }
    func text(_ group: Int) throws -> ExactString? {
      guard let bytes = groups[group], !bytes.isEmpty else { return nil }
      guard let text = ExactString(validating: bytes) else { throw failure }
      return text
    }
    var attributes = JSONObject()
    for (group, name) in attributeGroups.sorted(by: { $0.key < $1.key }) {
      attributes[name] = try text(group).map { .string($0) }
    }
    guard let subjectGroup else { return (nil, attributes) }
    guard let subject = try text(subjectGroup) else { throw failure }
    return (subject, attributes)
  }
}

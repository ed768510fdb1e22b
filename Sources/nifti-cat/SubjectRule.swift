import ArgumentParser
import NIfTI
import VolumeFormat

/// How a path tells the subject.
struct SubjectRule {
  private let regex: Regex<AnyRegexOutput>

  /// Reads a regular expression with at least one group.
  init(_ pattern: String) throws {
    guard let regex = try? Regex(pattern) else {
      throw ValidationError("--subject-from is not a regular expression: '\(pattern)'")
    }
    // An alternative that matches anything tells how many groups there are.
    let probe = try? Regex("(?:\(pattern))|").firstMatch(in: "")
    guard (probe?.output.count ?? 2) > 1 else {
      throw ValidationError("--subject-from has no group, as in 'sub-([0-9]+)'")
    }
    self.regex = regex
  }

  /// The subject of a path.
  ///
  /// - Throws: `NIfTIError` if the expression does not match or its group stays empty.
  func subject(of source: SourcePath) throws -> String {
    let path = source.header.string
    guard let match = try? regex.firstMatch(in: path), match.output.count > 1,
      let subject = match.output[1].substring, !subject.isEmpty
    else { throw NIfTIError(path, "--subject-from does not match its path") }
    return String(subject)
  }
}

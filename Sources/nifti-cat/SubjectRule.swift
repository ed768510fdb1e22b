import ArgumentParser
import ByteIO
import NIfTI
import SystemPackage
import VolumeFormat

/// How a path tells the subject.
struct SubjectRule {
  private let pattern: Pattern

  /// Reads a regular expression with at least one group.
  init(_ text: String) throws {
    do throws(Pattern.SyntaxError) {
      pattern = try Pattern(text)
    } catch {
      throw ValidationError(
        "--subject-from is not a regular expression: '\(bounded(text, 200))': \(error.reason)")
    }
    guard pattern.groupCount > 0 else {
      throw ValidationError("--subject-from has no group, as in 'sub-([0-9]+)'")
    }
  }

  /// The subject of a path.
  ///
  /// - Throws: `NIfTIError` if the expression does not match or its group stays empty, or is no text.
  func subject(of source: SourcePath) throws -> ExactString {
    let path = source.header
    let bytes = path.withPlatformString { Array(String.UTF8View(cString: $0)) }
    let match: [[UInt8]?]?
    do throws(Pattern.TooManySteps) {
      match = try pattern.firstMatch(in: bytes)
    } catch {
      throw NIfTIError(path.string, "--subject-from takes too many steps to match its path")
    }
    guard let subject = match?[1].flatMap(ExactString.init(validating:)), !subject.isEmpty else {
      throw NIfTIError(path.string, "--subject-from does not match its path")
    }
    return subject
  }
}

extension String.UTF8View {
  fileprivate init(cString: UnsafePointer<CChar>) { self = String(cString: cString).utf8 }
}

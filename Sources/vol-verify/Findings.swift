import ByteIO
import DatasetSupport
import ToolSupport
import Datasets
import Frames

/// Writes what was found as it is found, from any thread.
final class Findings: @unchecked Sendable {
  private let monitor = Monitor()
  private let output = LineWriter()
  private let json: Bool
  private var failure: (any Error)?
  /// How many there were.
  private(set) var count = 0

  init(json: Bool) { self.json = json }

  /// Writes one, and keeps an error of that for `finish`.
  func collect(_ finding: Verifier.Finding) {
    monitor.update {
      do {
        try add(finding)
      } catch {
        failure = failure ?? error
      }
    }
  }

  /// Writes one.
  func add(_ finding: Verifier.Finding) throws {
    count += 1
    if json {
      try output.bytes(JSON.encode(finding.json) + [0x0A])
      return
    }
    var line = finding.file
    if let offset = finding.offset { line += " at byte \(offset)" }
    if let volume = finding.volume { line += ", volume '\(volume)'" }
    if let chunk = finding.chunk { line += ", chunk \(chunk)" }
    let problem = finding.problem + (finding.loss.map { "; \($0.words)" } ?? "")
    try output.line("\(oneLine(line)): \(oneLine(problem))")
  }

  /// Writes what waits.
  func finish() throws {
    if let failure { throw failure }
    try output.finish()
  }
}

import Testing
import Chunks
import Datasets
import Frames

@Suite struct PatternTests {
  /// A group that takes no part in the match is nil, before and after one that does.
  @Test(
    arguments: [
      ("(x)|b", ["b", nil]), ("(x)?b(c)?", ["b", nil, nil]), ("(x)|(b)", ["b", nil, "b"]),
      ("(x*)b", ["b", ""]), ("z|(y)", nil),
    ] as [(String, [String?]?)])
  func groups(_ text: String, _ expected: [String?]?) throws {
    let match = try Pattern(text).firstMatch(in: Array("abd".utf8))
    #expect(match?.map { $0.map { String(decoding: $0, as: UTF8.self) } } == expected)
  }
}

import ByteIO
import Testing

@Suite struct TextTests {
  @Test func exactStringsAreEqualByTheirBytesOnly() {
    let composed = ExactString("Jos\u{e9}")
    let decomposed = ExactString("Jose\u{301}")
    #expect(composed.string == decomposed.string)
    #expect(composed != decomposed)
    #expect(Set([composed, decomposed]).count == 2)
    // U+212A is the kelvin sign, which Unicode takes for a K.
    #expect(ExactString("\u{212A}") != "K")
    #expect(ExactString("a") < "b" && ExactString("B") < "a" && ExactString("a") < "aa")
    #expect(ExactString("_x\u{301}").hasPrefix("_x") && ExactString("a_CT").hasSuffix("_CT"))
    #expect(ExactString(validating: [0xFF] as [UInt8]) == nil)
  }

  @Test func aBoundedTextEndsBetweenCharacters() {
    #expect(bounded("abc", 3) == "abc")
    #expect(bounded("abcd", 3) == "abc…")
    #expect(bounded("aé", 2) == "a…")
    #expect(bounded("\u{10FFFF}\u{10FFFF}", 5) == "\u{10FFFF}…")
  }

  @Test(arguments: [
    ("2026-11-21T09:30:00.250000Z", true), ("2024-02-29T23:59:60.000000Z", true),
    ("2026-02-29T00:00:00.000000Z", false), ("2026-13-01T00:00:00.000000Z", false),
    ("2026-11-21T24:00:00.000000Z", false), ("2026-11-21T09:30:00Z", false),
    ("2026-11-21 09:30:00.250000Z", false), ("", false), ("2026-11-21T09:30:00.25000éZ", false),
  ]) func timesHaveOneForm(text: String, isTime: Bool) {
    #expect(Clock.isText(text) == isTime)
  }

  @Test func presentTimesAreOfThatForm() { #expect(Clock.isText(timestamp())) }

  @Test func aStrictListHasNoEmptyItemAndEndsInOne() throws {
    func items(_ text: String) throws -> [String] {
      let file = try OutputFile(scratchIn: "/tmp")
      try file.write(Array(text.utf8))
      var list = LineList(try InputFile(reading: file), nulSeparated: false, isStrict: true)
      var result: [String] = []
      while let item = try list.next() { result.append(String(decoding: item, as: UTF8.self)) }
      return result
    }
    #expect(try items("a\nb\n") == ["a", "b"])
    for text in ["a\n\nb\n", "a\nb", "\n"] {
      #expect(throws: LineList.Irregular.self) { try items(text) }
    }
  }
}

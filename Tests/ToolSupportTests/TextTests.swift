import Testing
import ToolSupport

@Suite struct ToolTextTests {
  @Test(arguments: [
    ("plain", "plain"), ("a\u{1B}[31mb", "a\\u{001B}[31mb"), ("x\ny", "x\\ny"),
    ("\u{202E}evil", "\\u{202E}evil"), ("\u{9B}m", "\\u{009B}m"), ("caf\u{E9}", "caf\u{E9}"),
    ("\u{7F}", "\\u{007F}"), ("a\tb", "a\\tb"),
  ]) func whatATerminalWouldActOnIsShown(text: String, wanted: String) {
    #expect(
      visible(text).lowercased().replacing("{00", with: "{")
        == wanted.lowercased().replacing("{00", with: "{"))
  }

  @Test func tabsMayStay() { #expect(visible("a\tb", keepingTabs: true) == "a\tb") }

  @Test func aLongMessageLosesItsMiddle() {
    let text = String(repeating: "a", count: 9_000) + "end"
    let line = oneLine("begin" + text)
    #expect(line.hasPrefix("begin") && line.hasSuffix("end") && line.utf8.count < 4_100)
  }

  @Test(arguments: [
    ("plain", "plain"), ("a,b", "\"a,b\""), ("\"q\"", "\"\"\"q\"\"\""), ("x\ny", "\"x\ny\""),
    ("it\"s", "it\"s"), ("", ""),
  ]) func fieldsAreQuotedWhereTheyMust(text: String, wanted: String) {
    #expect(quotedField(text, separator: ",") == wanted)
  }

  @Test(arguments: [
    ("=1+1", "'=1+1"), ("-5", "-5"), ("-cmd", "'-cmd"), ("@x", "'@x"), ("+1.5", "+1.5"),
  ]) func aFieldOfASpreadsheetIsNoFormula(text: String, wanted: String) {
    #expect(quotedField(text, separator: ",", isSafe: true) == wanted)
  }

  @Test(
    arguments: [
      (0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (73_400_000, "73.4 MB"),
      (999_499, "999 kB"), (999_500, "1.00 MB"), (5_000_000_000_000, "5.00 TB"),
    ] as [(UInt64, String)]) func bytesHaveThreeFigures(bytes: UInt64, wanted: String)
  {
    #expect(humanBytes(bytes) == wanted)
  }
}

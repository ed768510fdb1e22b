import ByteIO
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

  /// All of the scalars of the lower planes that a terminal or a reader may be led astray by.
  @Test func nothingThatIsShownMustBeShownAgain() throws {
    for value in UInt32(0)...0x2FFF {
      let scalar = try #require(Unicode.Scalar(value))
      for text in ["\(scalar)", "a\(scalar)b", "\(scalar)\u{301}", "\r\(scalar)\n"] {
        let shown = visible(text)
        #expect(!shown.unicodeScalars.contains(where: UnsafeScalars.mustShow))
        #expect(visible(shown) == shown)
      }
    }
  }

  @Test(arguments: ["e", "\u{E9}", "\u{20AC}", "\u{1F600}", "\u{1B}"])
  func aLongMessageIsCutBetweenCharacters(character: String) {
    for shift in 0..<4 {
      let line = oneLine(
        String(repeating: "x", count: shift) + String(repeating: character, count: 9_000))
      #expect(!line.unicodeScalars.contains("\u{FFFD}"))
      #expect(!line.unicodeScalars.contains("\u{1B}"))
      // Each of its bytes may be shown as six.
      #expect(line.utf8.count <= 4_100 * visible(character).utf8.count / character.utf8.count)
    }
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

  /// Read back by the rules of RFC 4180.
  @Test(arguments: [",", "\t"] as [Unicode.Scalar]) func aFieldComesBack(separator: Unicode.Scalar)
  {
    let pieces = ["a", "\"", "\n", "\r\n", ",", "\t", "\"\u{301}", "\u{301}", " "]
    for first in pieces {
      for second in pieces {
        for third in pieces {
          let text = first + second + third
          var field = Array(quotedField(text, separator: separator).unicodeScalars)
          if field.first == "\"" {
            #expect(field.count > 1 && field.last == "\"")
            field = Array(field.dropFirst().dropLast())
            var plain: [Unicode.Scalar] = []
            while let scalar = field.first {
              let isQuote = scalar == "\""
              if isQuote { #expect(field.dropFirst().first == "\"") }
              field.removeFirst(min(field.count, isQuote ? 2 : 1))
              plain.append(scalar)
            }
            field = plain
          } else {
            #expect(!field.contains { [separator, "\n", "\r"].contains($0) })
          }
          #expect(field == Array(text.unicodeScalars))
        }
      }
    }
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

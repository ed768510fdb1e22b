import ByteIO
import Testing
import Chunks
import Datasets
import Frames

/// RFC 8259: what is read, what is refused and how that is told, and what is written.
@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSONValue {
    try JSON.parse(Array(text.utf8), in: "x").value
  }

  private func parse(_ bytes: [UInt8]) throws -> JSONValue { try JSON.parse(bytes, in: "x").value }

  @Test(arguments: [
    "{\"a\":1,}", "[1,]", "[1 2]", "{\"a\" 1}", "{a:1}", "{'a':1}", "[01]", "[+1]", "[.5]", "[1.]",
    "[1e]", "[-]", "[NaN]", "[Infinity]", "[nul]", "[TRUE]", "[\"\\q\"]", "[\"\\u12\"]",
    "[\"\\ud800\"]", "[\"\\udc00\"]", "[\"\\ud800\\u0041\"]", "[\"a\nb\"]", "[\"a\tb\"]",
    "[\"\u{1}\"]", "[1] x", "[1]]", "{}{}", "[\"open", "[", "{", "", " ", "// c\n1", "[1]/**/",
    "1\u{0}", "[\"a\u{0}b\"]", "[1e400]",
  ]) func whatIsNoJSONIsRefused(text: String) {
    #expect(throws: FormatError.self) { try parse(text) }
  }

  @Test(
    arguments: [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
      [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22],
    ] as [[UInt8]]) func textThatIsNotUTF8IsRefused(bytes: [UInt8])
  {
    #expect(throws: FormatError.self) { try parse(bytes) }
  }

  @Test func theCauseIsToldByLineAndColumn() {
    let cases = [
      ("{\n \"a\": \"x\ny\"}", "line 2, column 9", "raw line feed"),
      ("{\"a\":1,\n}", "line 2, column 1", "key in quotes"),
      ("[1] 2", "line 1, column 5", "text behind"),
    ]
    for (text, place, cause) in cases {
      let error = #expect(throws: FormatError.self) { try parse(text) }
      #expect(error?.reason.contains(place) == true, "\(error?.reason ?? "")")
      #expect(error?.reason.contains(cause) == true, "\(error?.reason ?? "")")
    }
  }

  @Test func depthAndNumberOfValuesAreBounded() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try parse(nested(JSONDocument.maximumDepth))
    #expect(throws: FormatError.self) { try parse(nested(JSONDocument.maximumDepth + 1)) }
    #expect(throws: FormatError.self) { try parse(nested(1_000_000)) }
    let many = "[" + String(repeating: "0,", count: JSONDocument.maximumValues) + "0]"
    #expect(throws: FormatError.self) { try parse(many) }
  }

  @Test(arguments: [
    "0", "-0", "-0.0", "1.50", "1e5", "1E+05", "123456789012345678901234567890",
    "0.1000000000000000055511151231257827", "9007199254740993", "18446744073709551615",
  ]) func numbersKeepTheirDigits(text: String) throws {
    let value = try parse("[\(text)]")
    #expect(JSON.encode(value) == Array("[\(text)]".utf8))
  }

  @Test func textIsTheSameAgain() throws {
    let text = "é e\u{301} \u{10FFFF} \u{FEFF} \\ / \" \u{7F} \u{9B} \u{202E} \u{2028} \t\n\u{1}"
    let bytes = JSON.encode(.text(text))
    #expect(try parse(bytes) == .text(text))
    // A terminal sees nothing that it would act on.
    let written = String(decoding: bytes, as: UTF8.self)
    #expect(!written.unicodeScalars.contains(where: UnsafeScalars.mustShow))
  }

  @Test func ofAKeyThatIsThereTwiceTheLastCountsAndItIsTold() throws {
    let (value, repeated) = try JSON.parse(
      Array(#"{"a":1,"b":{"c":1,"c":2},"a":3}"#.utf8), in: "x")
    #expect(value == .object(["a": .integer(3), "b": .object(["c": .integer(2)])]))
    #expect(repeated == ["c", "a"])
  }

  @Test func keysAreComparedByTheirBytes() throws {
    let value = try parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
    guard case .object(let object) = value else {
      Issue.record("no object")
      return
    }
    #expect(object.count == 2)
    #expect(object["\u{e9}"] == .integer(1) && object["e\u{301}"] == .integer(2))
  }

  @Test func manyKeysAreFoundAndReplaced() {
    var object = JSONObject()
    for number in 0..<100 { object[ExactString("k\(number)")] = .integer(number) }
    object["k50"] = .null
    object["k3"] = nil
    #expect(object.count == 99 && object["k50"] == .null && object["k3"] == nil)
    #expect(object["k99"] == .integer(99))
  }

  @Test func base64IsStrict() {
    for bytes in [[], [0], [1, 2], [1, 2, 3], [255, 254, 0, 7]] as [[UInt8]] {
      #expect(base64Decoded(Array(base64(bytes).utf8)) == bytes)
    }
    for text in ["A", "AA", "AA=", "AB==", "A===", " AAAA", "AAAA\n", "AA-_", "AAA=AAAA"] {
      #expect(base64Decoded(Array(text.utf8)) == nil, "\(text)")
    }
  }
}

import ByteIO
import Testing
import ToolSupport

@Suite struct ArgumentTests {
  @Test(arguments: ["s3://b/k", "https://x", "a+b.c-d://x", "FILE:///x"])
  func urlsAreKnown(text: String) { #expect(isURL(text)) }

  @Test(arguments: ["s3:/b", "://x", "1s://x", "a b://x", "ds", "./s3://b", ""])
  func pathsAreNoURLs(text: String) { #expect(!isURL(text)) }

  @Test(
    arguments: [
      ("1", 1), ("4G", 4 << 30), ("64k", 64 << 10), ("1T", 1 << 40),
      ("1152921504606846976", 1 << 60),
    ] as [(String, UInt64)]) func sizesHaveUnits(text: String, wanted: UInt64)
  {
    #expect(ByteSize(argument: text)?.bytes == wanted)
  }

  @Test(arguments: ["", "0", "-1", "1.5G", "G", "1KB", "9999999T", "1152921504606846977"])
  func whatIsNoSizeIsNone(text: String) { #expect(ByteSize(argument: text) == nil) }

  @Test func standardInputIsReadOnce() throws {
    try requireStandardInputOnce(["a", "-", "./-", "--"])
    #expect(throws: (any Error).self) { try requireStandardInputOnce(["-", "a", "-"]) }
  }

  @Test func aKeyEndsAtTheFirstSign() {
    #expect(KeyValue(argument: "a=b=c").map { [$0.key, $0.value] } == ["a", "b=c"])
    #expect(KeyValue(argument: "a=")?.value == "")
    #expect(KeyValue(argument: "=b") == nil && KeyValue(argument: "ab") == nil)
    // The sign and the mark behind it are one character to Swift.
    #expect(KeyValue(argument: "a=\u{301}b")?.value == "\u{301}b")
  }
}

import ByteIO
import S3
import Testing

/// What servers say, and what somebody in their place may.
struct AnswerTests {
  private func parse(_ text: String) -> XMLElement? { XMLElement.parse(Array(text.utf8)) }

  @Test func elementsHaveTextAndChildren() throws {
    let root = try #require(
      parse(
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
          <Contents><Key>a&amp;b &#233;</Key><Size>7</Size></Contents>
          <Contents><Key><![CDATA[<c>]]></Key></Contents><x:IsTruncated>false</x:IsTruncated>
        </ListBucketResult>
        """))
    #expect(root.name == "ListBucketResult")
    #expect(root.all("Contents").map { $0.text("Key") } == ["a&b é", "<c>"])
    #expect(root.child("Contents")?.text("Size") == "7" && root.text("IsTruncated") == "false")
    #expect(root.text("None") == nil)
  }

  @Test(arguments: [
    "", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&b;</a>", "<a>\u{1}</a>",
    // Entities that grow as they are expanded.
    """
    <!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]><a>&d;</a>
    """,
    "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
    String(repeating: "<a>", count: 100) + String(repeating: "</a>", count: 100),
  ])
  func whatIsNoDocumentIsRefused(_ text: String) { #expect(parse(text) == nil) }

  @Test func datesAreRead() {
    #expect(ServerClock.seconds("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
    #expect(ServerClock.seconds(ofListing: "2026-11-27T08:49:37.250Z") == 1_795_769_377.25)
    #expect(ServerClock.seconds(ofListing: "2026-11-27T08:49:37Z") == 1_795_769_377)
    for text in ["", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Mon 1994 08:49:37 GMT", "now", "a b c"] {
      #expect(ServerClock.seconds(text) == nil)
    }
    for text in ["", "2026-11-27", "2026-11-27T08:49Z", "2026-13-27T08:49:37Z", "T", "Z"] {
      #expect(ServerClock.seconds(ofListing: text) == nil)
    }
  }

  @Test func aServersClockIsNeverTakenForLate() throws {
    let clock = ServerClock()
    #expect(clock.now() == nil)
    // Replies of a server that is an hour ahead of us, each in some part of its second.
    for part in [0.9, 0.05, 0.4] {
      let sent = 1_795_769_377 + part
      clock.take("Fri, 27 Nov 2026 09:49:37 GMT", sent: sent, received: sent + 0.01)
    }
    let ahead = try #require(clock.now()) - Clock.now()
    #expect(ahead > 3599 && ahead <= 3600.001)
  }
}

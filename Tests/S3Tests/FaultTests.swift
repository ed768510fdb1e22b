import ByteIO
import S3
import Storage
import Testing

/// What a store does where its server, or the way to it, fails.
struct FaultTests {
  /// A store at a server that says these things.
  private func store(
    _ replies: [CannedServer.Reply], tries: Int = 6, partBytes: Int = 16
  ) throws -> (S3Store, CannedServer) {
    let server = try CannedServer(replies)
    var patience = Bucket.Patience()
    patience.tries = tries
    patience.shortest = 0.001
    let variables = [
      "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "KEY", "HOME": "/nowhere",
      "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_REGION": "eu-north-1",
    ]
    let bucket = try Bucket(
      try BucketAddress("s3://bucket/p"), environment: { variables[$0] }, patience: patience)
    var options = UploadOptions()
    // Smaller than servers allow, so that there are parts.
    options.partBytes = partBytes
    return (S3Store(bucket, options), server)
  }

  private let name: ObjectName

  init() throws { name = try #require(ObjectName("f", "a")) }

  private func error(_ code: String, _ message: String = "Said.") -> String {
    "<Error><Code>\(code)</Code><Message>\(message)</Message></Error>"
  }

  private func line(_ body: () throws -> Void) throws -> (kind: FailureKind, line: String) {
    explanation(of: try #require(throws: (any Error).self) { try body() })
  }

  @Test func whatPassesIsTriedAgain() throws {
    let (store, server) = try store([
      .answer(503, [:], error("SlowDown")), .answer(500), .answer(429), .reset,
      .truncated(200, [:], "half", missing: 4), .answer(200, [:], "whole"),
    ])
    #expect(try store.read(name, maximum: 100) == Array("whole".utf8))
    // Each try is signed anew, for the time is signed.
    #expect(server.requests.count == 6)
    #expect(server.requests.allSatisfy { $0.line == "GET /bucket/p/f/a HTTP/1.1" })
  }

  @Test(arguments: [
    (403, "AccessDenied", FailureKind.noPermission), (403, "InvalidAccessKeyId", .noPermission),
    (403, "SignatureDoesNotMatch", .noPermission), (403, "RequestTimeTooSkewed", .noPermission),
    (400, "ExpiredToken", .noPermission), (404, "NoSuchBucket", .noInput),
    (400, "InvalidRequest", .inputOutput),
  ])
  func whatStaysIsSaidAtOnce(_ status: Int, _ code: String, _ kind: FailureKind) throws {
    let (store, server) = try store([.answer(status, [:], error(code, "Line\n one."))])
    let (found, line) = try line { _ = try store.read(name, maximum: 100) }
    #expect(found == kind && server.requests.count == 1)
    #expect(line.hasPrefix("cannot read 's3://bucket/p/f/a': \(code) (Line  one)"), "\(line)")
    #expect(!line.contains("\n") && !line.contains("hidden"))
  }

  @Test func patienceEnds() throws {
    let (store, server) = try store(
      (0..<9).map { _ in .answer(503, [:], error("SlowDown")) }, tries: 4)
    let (kind, line) = try line { _ = try store.read(name, maximum: 100) }
    #expect(kind == .unavailable && server.requests.count == 4)
    #expect(line.hasSuffix("SlowDown (Said); given up after 4 tries"), "\(line)")
  }

  // MARK: Creating

  @Test func aNameThatIsTakenIsLeft() throws {
    let (store, server) = try store([.answer(412, [:], error("PreconditionFailed"))])
    guard case .exists = try store.create(name, [1]) else { return #expect(Bool(false)) }
    #expect(server.requests.first?.headers["if-none-match"] == "*")
  }

  @Test func whatMayBeMadeIsUnsure() throws {
    let (store, _) = try store([.reset, .reset, .answer(412)], tries: 2)
    guard case .unsure = try store.create(name, [1]) else { return #expect(Bool(false)) }
    // Who comes again finds that somebody was there, and compares.
    guard case .exists = try store.create(name, [1]) else { return #expect(Bool(false)) }
  }

  @Test func whatIsForbiddenIsNotMade() throws {
    let (store, _) = try store([.answer(403, [:], error("AccessDenied"))])
    #expect(throws: (any Error).self) { try store.create(name, [1]) }
  }

  @Test(arguments: [(200, false), (412, true)])
  func aServerThatKnowsNoConditionIsFound(_ status: Int, _ knows: Bool) throws {
    let (store, server) = try store([.answer(200), .answer(status)])
    #expect(try store.canCreate(in: nil) == knows)
    #expect(server.requests.count == 2)
  }

  @Test func anOwnObjectIsKnownAgainAfterALostReply() throws {
    let bytes = "12345"
    let (store, _) = try store([
      .reset, .answer(412), .answer(200, [:], bytes),
      .answer(206, ["Content-Range": "bytes 0-4/5"], bytes),
    ])
    let writer = try store.write(name)
    try Array(bytes.utf8).withUnsafeBytes { try writer.append($0) }
    try writer.finish()
    let (other, _) = try self.store([.answer(412)])
    let second = try other.write(name)
    let failure = #expect(throws: IOFailure.self) { try second.finish() }
    #expect(failure?.errno == .fileExists)
  }

  // MARK: Uploads in parts

  private let begun = CannedServer.Reply.answer(
    200, [:],
    "<InitiateMultipartUploadResult><UploadId>u&amp;1</UploadId>"
      + "</InitiateMultipartUploadResult>")
  private let completed = CannedServer.Reply.answer(
    200, [:], "<CompleteMultipartUploadResult/>")

  /// Writes 40 bytes, in parts of 16.
  private func write(to store: S3Store) throws {
    let writer = try store.write(name)
    do {
      try [UInt8](repeating: 7, count: 40).withUnsafeBytes { try writer.append($0) }
      try writer.finish()
    } catch {
      writer.abort()
      throw error
    }
  }

  private let tag = ["ETag": "\"x\""]

  @Test func anUploadIsWhatItsPartsAre() throws {
    let (store, server) = try store([
      begun, .answer(200, tag), .answer(200, tag), .answer(200, tag), completed,
    ])
    try write(to: store)
    let asked = server.requests
    #expect(asked[0].line == "POST /bucket/p/f/a?uploads= HTTP/1.1")
    #expect(asked[1...3].map(\.body.count).sorted() == [8, 16, 16])
    #expect(asked[1...3].allSatisfy { $0.headers["x-amz-checksum-crc32"] != nil })
    #expect(asked[4].line == "POST /bucket/p/f/a?uploadId=u%261 HTTP/1.1")
    let list = String(decoding: asked[4].body, as: UTF8.self)
    #expect(
      list.contains("<PartNumber>3</PartNumber><ETag>&quot;x&quot;</ETag><ChecksumCRC32>"),
      "\(list)")
  }

  @Test func aPartThatIsRefusedAbortsTheUpload() throws {
    let (store, server) = try store([
      begun, .answer(403, [:], error("AccessDenied")), .answer(403, [:], error("AccessDenied")),
      .answer(403, [:], error("AccessDenied")), .answer(204),
    ])
    let (kind, line) = try line { try write(to: store) }
    #expect(kind == .noPermission && line.contains("upload part"), "\(line)")
    #expect(server.requests.last?.line == "DELETE /bucket/p/f/a?uploadId=u%261 HTTP/1.1")
    #expect(!server.requests.contains { $0.body.starts(with: Array("<Complete".utf8)) })
  }

  @Test func aCompletionThatFailsWithinASuccessIsTriedAgain() throws {
    let (store, _) = try store([
      begun, .answer(200, tag), .answer(200, tag), .answer(200, tag),
      .answer(200, [:], error("InternalError")), completed,
    ])
    try write(to: store)
    let (other, server) = try self.store([
      begun, .answer(200, tag), .answer(200, tag), .answer(200, tag),
      .answer(200, [:], error("InvalidPart")), .answer(204),
    ])
    #expect(throws: (any Error).self) { try write(to: other) }
    #expect(server.requests.count == 6)
  }

  @Test func aCompletionWhoseReplyWasLostIsFound() throws {
    let (store, _) = try store([
      begun, .answer(200, tag), .answer(200, tag), .answer(200, tag), .reset,
      .answer(404, [:], error("NoSuchUpload")),
      .answer(200, [:], String(repeating: "x", count: 40)),
    ])
    try write(to: store)
    let (other, _) = try self.store([
      begun, .answer(200, tag), .answer(200, tag), .answer(200, tag), .reset,
      .answer(404, [:], error("NoSuchUpload")), .answer(404), .answer(204),
    ])
    #expect(throws: (any Error).self) { try write(to: other) }
  }

  // MARK: Reading

  @Test func aPartThatWasNotAskedForIsRefused() throws {
    for reply in [
      CannedServer.Reply.answer(200, [:], "0123456789"),
      .answer(206, ["Content-Range": "bytes 1-4/100000"], "0123"),
      .answer(206, ["Content-Range": "bytes 0-3/100001"], "0123"),
      .answer(206, ["Content-Range": "bytes 0-2/100000"], "012"),
      .answer(206, [:], "0123"),
    ] {
      let (store, _) = try store([reply], tries: 1)
      let file = try store.open(name, bytes: 100_000)
      var room = [UInt8](repeating: 0, count: 4)
      #expect(throws: (any Error).self) {
        try room.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
      }
    }
  }

  @Test func listingsThatGoInACircleOrElsewhereEnd() throws {
    func page(_ key: String, _ token: String) -> CannedServer.Reply {
      .answer(
        200, [:],
        "<ListBucketResult><Contents><Key>\(key)</Key><Size>1</Size>"
          + "<LastModified>2026-11-27T08:49:37.000Z</LastModified></Contents>"
          + "<IsTruncated>\(!token.isEmpty)</IsTruncated>"
          + "<NextContinuationToken>\(token)</NextContinuationToken></ListBucketResult>")
    }
    let (whole, server) = try store([page("p/f/b+1", "t"), page("p/f/a", "")])
    #expect(try whole.names(in: "f") == ["a", "b 1"])
    #expect(server.requests[1].line.contains("continuation-token=t&"))
    let (circle, _) = try store([page("p/f/a", "t"), page("p/f/b", "t")])
    #expect(throws: (any Error).self) { try circle.names(in: "f") }
    let (elsewhere, _) = try store([page("q/a", "")])
    #expect(throws: (any Error).self) { try elsewhere.names(in: "f") }
    let (nonsense, _) = try store([.answer(200, [:], "<html></html>")])
    #expect(throws: (any Error).self) { try nonsense.names(in: "f") }
  }

  @Test func theRegionOfABucketIsLearnt() throws {
    let (store, server) = try store([
      .answer(400, ["x-amz-bucket-region": "eu-west-3"], error("AuthorizationHeaderMalformed")),
      .answer(200, [:], "x"),
    ])
    #expect(try store.read(name, maximum: 9) == Array("x".utf8))
    #expect(server.requests[0].headers["authorization"]?.contains("/eu-north-1/s3/") == true)
    #expect(server.requests[1].headers["authorization"]?.contains("/eu-west-3/s3/") == true)
  }
}

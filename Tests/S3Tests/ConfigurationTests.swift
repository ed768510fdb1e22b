import ByteIO
import Foundation
import S3
import Testing

/// Where keys, regions and servers are found, and what is said where they are not.
struct ConfigurationTests {
  @Test func profilesAreRead() throws {
    let file = ProfileFile(
      """
      # a comment
      [default]
      region = eu-central-1
      s3 =
        addressing_style = path
      [profile other] ; another
      aws_access_key_id=KEY
      aws_secret_access_key = se=cret
      [sso-session x]
      sso_region = r
      """, isConfiguration: true)
    #expect(file["default"]?["region"] == "eu-central-1")
    #expect(file["default"]?["addressing_style"] == nil)
    #expect(file["other"] == ["aws_access_key_id": "KEY", "aws_secret_access_key": "se=cret"])
    #expect(file["sso-session x"] == nil && file["profile other"] == nil)
    #expect(ProfileFile("[other]\na = b", isConfiguration: false)["other"] == ["a": "b"])
  }

  @Test(arguments: [
    ("https://host", "https", "host", ""), ("http://127.0.0.1:8333/", "http", "127.0.0.1:8333", ""),
    ("HTTPS://host:443/a/b//", "https", "host", "/a/b"), ("http://[::1]:80", "http", "[::1]", ""),
  ])
  func serversAreNamed(_ url: String, _ scheme: String, _ host: String, _ path: String) throws {
    let server = try #require(ServerAddress(url))
    #expect(server.scheme == scheme && server.host == host && server.path == path)
  }

  @Test(arguments: [
    "", "host", "ftp://host", "http:/host", "http://", "http://:80", "http://user:secret@host",
    "http://host?x", "http://host#x", "http://ho st", "http://host/\u{7F}",
  ])
  func whatNamesNoServerIsRefused(_ url: String) { #expect(ServerAddress(url) == nil) }

  @Test(arguments: [
    ("s3://bucket", "s3://bucket"), ("s3://bucket/", "s3://bucket"),
    ("s3://bucket/a/b/", "s3://bucket/a/b"), ("s3://b.c-d/ü +%", "s3://b.c-d/ü +%"),
  ])
  func bucketsAreNamed(_ url: String, _ same: String) throws {
    #expect(try BucketAddress(url).url == same)
  }

  @Test(arguments: [
    "s3://", "s3:///x", "s3://ab", "s3://bucket//x", "s3://bucket/../x", "s3://bucket/./x",
    "s3://bucket/a\u{1}", "s3://buc ket", "s3://user@bucket/x", "S3://bucket", "bucket/x",
    "s3://bucket/" + String(repeating: "x", count: 600),
  ])
  func whatNamesNoPlaceIsRefused(_ url: String) {
    #expect(throws: BucketAddress.Mistake.self) { try BucketAddress(url) }
  }

  /// What a request ends in that has these variables; nobody listens at the server's port.
  private func failure(_ variables: [String: String]) throws -> (FailureKind, String)? {
    var patience = Bucket.Patience()
    patience.tries = 2
    patience.shortest = 0
    let all = variables.merging([
      "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere",
      "AWS_ENDPOINT_URL": variables["AWS_ENDPOINT_URL"] ?? "http://127.0.0.1:9",
    ]) { own, _ in own }
    do {
      let bucket = try Bucket(
        try BucketAddress("s3://bucket/x"), environment: { all[$0] }, patience: patience)
      _ = try S3Store(bucket).now()
      return nil
    } catch {
      let (kind, line) = explanation(of: error)
      return (kind, line)
    }
  }

  @Test func failuresSayWhatToDo() throws {
    let keys = ["AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "hidden"]
    let none = try #require(try failure([:]))
    #expect(none.0 == .noPermission && none.1.contains("AWS_ACCESS_KEY_ID"))
    let half = try #require(try failure(["AWS_ACCESS_KEY_ID": "KEY"]))
    #expect(half.0 == .noPermission && half.1.contains("AWS_SECRET_ACCESS_KEY is not"))
    let profile = try #require(try failure(["AWS_PROFILE": "lab"]))
    #expect(profile.0 == .noPermission && profile.1.contains("profile 'lab'"))
    let server = try #require(
      try failure(keys.merging(["AWS_ENDPOINT_URL": "host:1"]) { _, new in new }))
    #expect(server.1.contains("AWS_ENDPOINT_URL"))
    let closed = try #require(try failure(keys))
    #expect(closed.0 == .unavailable && closed.1.contains("given up after 2 tries"))
    for line in [none.1, half.1, profile.1, server.1, closed.1] {
      #expect(!line.contains("hidden") && !line.contains("\n"))
    }
  }
}

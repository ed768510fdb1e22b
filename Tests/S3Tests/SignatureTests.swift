import S3
import Testing

/// The examples of Amazon's own documentation: "Signature Calculations for the Authorization Header:
/// Transferring Payload in a Single Chunk", Amazon S3 API Reference.
struct SignatureTests {
  private let signature = Signature(
    credentials: Credentials(
      accessKey: "AKIAIOSFODNN7EXAMPLE",
      secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    region: "us-east-1")
  private let host = "examplebucket.s3.amazonaws.com"
  private let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  /// 24 May 2013, midnight.
  private let time = 1_369_353_600.0

  private func value(
    _ method: HTTPRequest.Method = .get, _ path: String = "/", _ query: [(String, String)] = [],
    _ headers: [HTTPRequest.Header] = [], payload: String? = nil
  ) -> String? {
    let all = signature.headers(
      method, host: host, path: path, query: query, headers: headers, payload: payload ?? empty,
      at: time)
    let line = all.first { $0.name == "authorization" }?.value
    return line?.split(separator: "=").last.map(String.init)
  }

  @Test func anObjectIsRead() {
    #expect(
      value(.get, "/test.txt", [], [.init(name: "range", value: "bytes=0-9")])
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
  }

  @Test func anObjectIsWritten() {
    #expect(
      value(
        .put, "/" + percentEncoded("test$file.text"), [],
        [
          .init(name: "date", value: "Fri, 24 May 2013 00:00:00 GMT"),
          .init(name: "x-amz-storage-class", value: "REDUCED_REDUNDANCY"),
        ], payload: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")
        == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
  }

  @Test func aParameterWithoutAValueIsSigned() {
    #expect(
      value(.get, "/", [("lifecycle", "")])
        == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
  }

  @Test func parametersAreSorted() {
    #expect(
      value(.get, "/", [("prefix", "J"), ("max-keys", "2")])
        == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  }

  @Test func theTokenOfASessionIsSigned() {
    let signature = Signature(
      credentials: Credentials(accessKey: "A", secretKey: "S", sessionToken: "T"), region: "r")
    let headers = signature.headers(
      .get, host: host, path: "/", query: [], headers: [], payload: empty, at: time)
    #expect(headers.contains(.init(name: "x-amz-security-token", value: "T")))
    let line = headers.first { $0.name == "authorization" }?.value ?? ""
    #expect(line.contains("host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"))
    // Nobody prints the secrets by printing the value that holds them.
    let keys = Credentials(accessKey: "A", secretKey: "hidden", sessionToken: "hidden")
    #expect(!"\(keys)".contains("hidden") && !String(reflecting: keys).contains("hidden"))
    var dumped = ""
    dump(keys, to: &dumped)
    #expect(!dumped.contains("hidden"))
  }

  @Test(arguments: [
    ("a b+c%&=?#é", "a%20b%2Bc%25%26%3D%3F%23%C3%A9"), ("-._~AZaz09", "-._~AZaz09"), ("/", "%2F"),
  ])
  func textIsEncodedOnce(_ text: String, _ encoded: String) {
    #expect(percentEncoded(text) == encoded && percentDecoded(encoded) == text)
  }

  @Test func whatIsNoEncodingIsRefused() {
    #expect(percentDecoded("a+b") == "a b" && percentDecoded("100%") == nil)
    #expect(percentDecoded("%zz") == nil && percentDecoded("%ff") == nil)
    #expect(percentDecoded("%+1") == nil && percentDecoded("%1") == nil)
  }
}

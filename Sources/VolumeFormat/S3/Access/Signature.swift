internal import ByteIO

/// Signs requests as Amazon's Signature Version 4 says.
///
/// Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
package struct Signature {
  /// The keys to sign with.
  var credentials: Credentials
  /// The region of the bucket.
  var region: String
  /// What is asked: `s3`, or `sts`.
  var service = "s3"

  /// Makes ready to sign for a region of S3.
  package init(credentials: Credentials, region: String) {
    (self.credentials, self.region) = (credentials, region)
  }

  /// What stands for the digest of a body that is not signed.
  package static let unsignedPayload = "UNSIGNED-PAYLOAD"

  /// The headers that make a request a signed one.
  ///
  /// - Parameters:
  ///   - method: its verb.
  ///   - host: the server's name, with its port.
  ///   - path: the path, encoded.
  ///   - query: names and values, not encoded.
  ///   - headers: further headers to be signed; names in lower case.
  ///   - payload: 64 hexadecimal digits of the body's SHA-256, or `unsignedPayload`.
  ///   - time: when: seconds since 1970.
  /// - Returns: `headers`, and those that sign.
  package func headers(
    _ method: HTTPRequest.Method, host: String, path: String, query: [(String, String)],
    headers: [HTTPRequest.Header], payload: String, at time: Double
  ) -> [HTTPRequest.Header] {
    let stamp = Self.stamp(time)
    let day = String(stamp.prefix(8))
    var all = headers + [.init(name: "x-amz-date", value: stamp)]
    if service == "s3" { all.append(.init(name: "x-amz-content-sha256", value: payload)) }
    if let token = credentials.sessionToken {
      all.append(.init(name: "x-amz-security-token", value: token))
    }
    let signed = (all + [.init(name: "host", value: host)]).sorted { $0.name < $1.name }
    let names = signed.map(\.name).joined(separator: ";")
    let canonical = [
      method.rawValue, path, Self.canonical(query),
      signed.map { "\($0.name):\($0.value)\n" }.joined(), names, payload,
    ].joined(separator: "\n")
    let scope = "\(day)/\(region)/\(service)/aws4_request"
    let text = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(SHA256.digits(of: Array(canonical.utf8)))"
    var key = Array("AWS4\(credentials.secretKey)".utf8)
    for part in [day, region, service, "aws4_request"] {
      key = SHA256.authentication(of: Array(part.utf8), key: key)
    }
    let signature = hexadecimal(SHA256.authentication(of: Array(text.utf8), key: key))
    all.append(
      .init(
        name: "authorization",
        value: "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope),"
          + "SignedHeaders=\(names),Signature=\(signature)"))
    return all
  }

  /// A query with its parameters encoded, sorted, and an `=` behind each name.
  package static func canonical(_ query: [(String, String)]) -> String {
    query.map { (percentEncoded($0.0), percentEncoded($0.1)) }
      .sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
  }

  /// A time as `20261127T094900Z`.
  package static func stamp(_ time: Double) -> String {
    String(Clock.text(time).prefix(19).filter { $0 != "-" && $0 != ":" }) + "Z"
  }
}

extension SHA256 {
  /// HMAC-SHA256 (RFC 2104): 32 bytes.
  static func authentication(of message: [UInt8], key: [UInt8]) -> [UInt8] {
    var block = key.count > 64 ? key.withUnsafeBytes { SHA256.of($0) } : key
    block += [UInt8](repeating: 0, count: 64 - block.count)
    let inner = (block.map { $0 ^ 0x36 } + message).withUnsafeBytes { SHA256.of($0) }
    return (block.map { $0 ^ 0x5C } + inner).withUnsafeBytes { SHA256.of($0) }
  }
}

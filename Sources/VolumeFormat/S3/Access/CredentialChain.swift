internal import ByteIO
internal import Frames

/// Finds the keys of whoever runs this, where Amazon's own tools look for them, in their order:
/// the environment, the profile, a token of a web identity, the container, the machine.
///
/// Source: "Configuring the AWS CLI", precedence; instance metadata v2, EC2 User Guide.
final class CredentialChain: @unchecked Sendable {
  /// Sends a request that is not signed; small answers only.
  typealias Asker = @Sendable (HTTPRequest) throws -> HTTPResponse

  private let environment: Environment
  private let profile: Profile
  private let ask: Asker
  private let monitor = Monitor()
  private var found: Credentials?

  /// Keys that end within so many seconds are got anew.
  private static let margin = 300.0

  init(_ environment: @escaping Environment, profile: Profile, ask: @escaping Asker) {
    self.environment = environment
    self.profile = profile
    self.ask = ask
  }

  /// The keys; those that are about to end are got anew.
  ///
  /// - Throws: `S3Error` that says where they were looked for.
  func credentials() throws -> Credentials {
    try monitor.update {
      if let found, (found.expiration ?? .infinity) > Clock.now() + Self.margin { return found }
      let fresh = try find()
      found = fresh
      return fresh
    }
  }

  private func find() throws -> Credentials {
    if let keys = try ofEnvironment() ?? profile.credentials() ?? ofWebIdentity()
      ?? ofContainer() ?? ofMachine()
    {
      return keys
    }
    throw missing(
      "none in AWS_ACCESS_KEY_ID, in \(profile.places), of a container or of the machine")
  }

  private func missing(_ reason: String) -> S3Error {
    S3Error("find keys for", "s3://", code: "NoCredentials", status: 403, reason)
  }

  private func ofEnvironment() throws -> Credentials? {
    guard let key = environment("AWS_ACCESS_KEY_ID")?.nonempty else { return nil }
    // A profile that is asked for by its name comes first only where no keys are set.
    guard let secret = environment("AWS_SECRET_ACCESS_KEY")?.nonempty else {
      throw missing("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not")
    }
    return Credentials(
      accessKey: key, secretKey: secret, sessionToken: environment("AWS_SESSION_TOKEN")?.nonempty)
  }

  // MARK: Keys that a server gives

  private func ofWebIdentity() throws -> Credentials? {
    guard let file = environment("AWS_WEB_IDENTITY_TOKEN_FILE")?.nonempty,
      let role = environment("AWS_ROLE_ARN")?.nonempty
    else { return nil }
    let token = try smallText(file)
    let session = environment("AWS_ROLE_SESSION_NAME")?.nonempty ?? "volpipe"
    let host = profile.region.map { "sts.\($0).amazonaws.com" } ?? "sts.amazonaws.com"
    let server = environment("AWS_ENDPOINT_URL_STS")?.nonempty ?? "https://\(host)"
    let query = [
      ("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", role),
      ("RoleSessionName", session), ("WebIdentityToken", token),
    ]
    let response = try ask(
      HTTPRequest(method: .get, url: "\(server)/?\(Signature.canonical(query))", headers: []))
    guard response.isSuccess,
      let keys = XMLElement.parse(response.body)?
        .child("AssumeRoleWithWebIdentityResult")?.child("Credentials"),
      let key = keys.text("AccessKeyId"), let secret = keys.text("SecretAccessKey")
    else { throw S3Error("get keys from", server, response) }
    return Credentials(
      accessKey: key, secretKey: secret, sessionToken: keys.text("SessionToken"),
      expiration: keys.text("Expiration").flatMap(ServerClock.seconds(ofListing:)))
  }

  private func ofContainer() throws -> Credentials? {
    let relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?.nonempty
    let full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI")?.nonempty
    guard let url = relative.map({ "http://169.254.170.2\($0)" }) ?? full else { return nil }
    var headers: [HTTPRequest.Header] = []
    let file = try environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")?.nonempty.map(smallText)
    if let token = file ?? environment("AWS_CONTAINER_AUTHORIZATION_TOKEN")?.nonempty {
      headers.append(.init(name: "authorization", value: token))
    }
    return try keys(at: url, headers)
  }

  private func ofMachine() throws -> Credentials? {
    guard environment("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else { return nil }
    let server =
      environment("AWS_EC2_METADATA_SERVICE_ENDPOINT")?.nonempty ?? "http://169.254.169.254"
    let begin = HTTPRequest(
      method: .put, url: "\(server)/latest/api/token",
      headers: [.init(name: "x-aws-ec2-metadata-token-ttl-seconds", value: "21600")])
    // Where there is no such server, this is no machine of Amazon's.
    guard let token = try? ask(begin), token.isSuccess else { return nil }
    let headers = [
      HTTPRequest.Header(
        name: "x-aws-ec2-metadata-token", value: String(decoding: token.body, as: UTF8.self))
    ]
    let roles = "\(server)/latest/meta-data/iam/security-credentials/"
    guard let list = try? ask(HTTPRequest(method: .get, url: roles, headers: headers)),
      list.isSuccess,
      let role = String(decoding: list.body, as: UTF8.self).split(separator: "\n").first
    else { return nil }
    return try keys(at: roles + percentEncoded(String(role)), headers)
  }

  /// Keys in JSON.
  private func keys(at url: String, _ headers: [HTTPRequest.Header]) throws -> Credentials {
    let response = try ask(HTTPRequest(method: .get, url: url, headers: headers))
    guard response.isSuccess else { throw S3Error("get keys from", url, response) }
    let answer = try JSONDocument(response.body, in: url).root
    func text(_ name: StaticString) -> String? { try? answer.member(name)?.string().string }
    guard let key = text("AccessKeyId"), let secret = text("SecretAccessKey") else {
      throw S3Error("get keys from", url, status: 403, "its answer has none")
    }
    return Credentials(
      accessKey: key, secretKey: secret, sessionToken: text("Token"),
      expiration: text("Expiration").flatMap(ServerClock.seconds(ofListing:)))
  }
}

/// Reads a small file of text, without white space at its end.
///
/// - Throws: `IOFailure`; `FormatError` if it is over 1 MiB.
func smallText(_ path: String) throws -> String {
  let file = try InputFile(path)
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
  guard count < bytes.count else { throw FormatError(path, "it is over 1 MiB long") }
  var text = String(decoding: bytes[..<count], as: UTF8.self)
  while let last = text.last, last.isWhitespace { text.removeLast() }
  return text
}

internal import ByteIO
internal import Frames
import Glibc

/// Sends requests to a bucket: signed, and tried again while that may help.
///
/// From any number of threads at once.
package final class Bucket: @unchecked Sendable {
  /// Which, and what its keys begin with.
  package let address: BucketAddress
  /// What its server's clock says.
  let clock = ServerClock()
  private let transport: Transport
  private let chain: CredentialChain
  private let patience: Patience
  private let monitor = Monitor()
  /// Guarded by `monitor`, as is all that follows.
  private var endpoint: Endpoint
  /// Whether the server has ever answered.
  private var isReached = false

  /// What a request asks for.
  struct Request {
    /// A verb for messages: cannot `operation` 's3://…'.
    var operation: String
    var method: HTTPRequest.Method
    /// The key, with the prefix.
    var key: String
    var query: [(String, String)] = []
    var headers: [HTTPRequest.Header] = []
    /// Stays where it is until there is a reply.
    var body: UnsafeRawBufferPointer?
    var target = ResponseBody.document
    /// Statuses beside successes that are no failures.
    var accepted: Set<Int> = []
    /// Asked between tries: whether anybody needs it still.
    var isWanted: () -> Bool = { true }
  }

  /// A response, and what went before it.
  struct Reply {
    var response: HTTPResponse
    /// Whether an earlier try may have done what was asked, its reply lost.
    var followsLostReply: Bool
  }

  /// How long, and how often, a request is tried.
  package struct Patience: Sendable {
    /// Seconds from its first try to the beginning of its last.
    package var seconds = 180.0
    /// Tries.
    package var tries = 14
    /// Seconds before the second try; twice as many before each that follows, up to `longest`.
    package var shortest = 0.1
    /// Seconds between two tries at most.
    package var longest = 20.0
    /// Tries as long as the server has never answered: its name is wrong, more likely than not.
    package var firstTries = 5

    /// The usual.
    package init() {}
  }

  /// Makes ready to reach a bucket; asks nobody yet.
  ///
  /// - Parameters:
  ///   - address: which bucket.
  ///   - environment: the variables that say how; see vol-s3(7).
  ///   - patience: how long to go on where requests fail.
  /// - Throws: `S3Error` if they make no sense, or if there is no libcurl; `IOFailure` if a file of
  ///   profiles cannot be read.
  package init(
    _ address: BucketAddress,
    environment: @escaping @Sendable (String) -> String? = {
      getenv($0).map { String(cString: $0) }
    },
    patience: Patience = Patience()
  ) throws {
    self.address = address
    self.patience = patience
    let profile = try Profile(environment)
    endpoint = try .configured(environment, profile)
    var settings = TransportSettings()
    settings.certificates =
      environment("AWS_CA_BUNDLE")?.nonempty ?? profile.certificates
      ?? environment("SSL_CERT_FILE")?.nonempty
    do {
      transport = try Transport(settings)
    } catch let failure as TransportFailure {
      throw S3Error("reach", address.url, failure)
    }
    // A machine that is not Amazon's has nobody at the address of their keys.
    settings.connectMilliseconds = 1000
    settings.stallSeconds = 5
    chain = CredentialChain(environment, profile: profile) { [settings] request in
      do {
        return try Transport(settings).send(request, into: .bytes(maximum: 1 << 20))
      } catch let failure as TransportFailure {
        throw S3Error("get keys from", request.url, failure)
      }
    }
  }

  /// What to call an object in messages.
  func place(_ key: String) -> String { "s3://\(address.bucket)/\(key)" }

  /// Sends a request until it is answered.
  ///
  /// - Parameters:
  ///   - request: what to ask.
  ///   - check: finds a failure in an answer that has the status of a success.
  /// - Returns: the answer: a success, or of a status that is accepted.
  /// - Throws: `S3Error`; what the search for keys throws.
  func send(
    _ request: Request, check: (HTTPResponse) -> S3Error? = { _ in nil }
  ) throws -> Reply {
    var pause = Pause(patience)
    var isLost = false
    var hasMoved = false
    while true {
      var error: S3Error
      do {
        let response = try attempt(request)
        monitor.update { isReached = true }
        let failure = verdict(response, request, check)
        guard let failure else { return Reply(response: response, followsLostReply: isLost) }
        if !hasMoved, move(response) {
          hasMoved = true
          continue
        }
        error = failure
        error.mayBeDone = isLost
        guard failure.isPassing else { throw error }
        if failure.status >= 500 { isLost = true }
      } catch let failure as TransportFailure {
        error = S3Error(request.operation, place(request.key), failure)
        error.mayBeDone = isLost
        guard case .broken = failure else { throw error }
        isLost = true
      }
      error.mayBeDone = isLost
      let limit = monitor.update {
        isReached ? patience.tries : min(patience.tries, patience.firstTries)
      }
      guard request.isWanted() else { throw error }
      guard pause.tries < limit, pause.wait() else {
        error.reason += "; given up after \(pause.tries) tries"
        throw error
      }
    }
  }

  private func verdict(
    _ response: HTTPResponse, _ request: Request, _ check: (HTTPResponse) -> S3Error?
  ) -> S3Error? {
    if response.isSuccess { return check(response) }
    if request.accepted.contains(response.status) { return nil }
    return S3Error(request.operation, place(request.key), response)
  }

  /// Sends it once.
  private func attempt(_ request: Request) throws -> HTTPResponse {
    let endpoint = monitor.update { self.endpoint }
    let (host, path) = endpoint.place(address.bucket, request.key)
    let signature = Signature(credentials: try chain.credentials(), region: endpoint.region)
    let isSecret = endpoint.server.scheme == "https"
    // What is encrypted on its way needs no digest of its own.
    let digest =
      isSecret
      ? Signature.unsignedPayload
      : hexadecimal(SHA256.of(request.body ?? UnsafeRawBufferPointer(start: nil, count: 0)))
    let sent = Clock.now()
    let headers = signature.headers(
      request.method, host: host, path: path, query: request.query, headers: request.headers,
      payload: digest, at: sent)
    let query = Signature.canonical(request.query)
    let response = try transport.send(
      HTTPRequest(
        method: request.method,
        url: "\(endpoint.server.scheme)://\(host)\(path)" + (query.isEmpty ? "" : "?\(query)"),
        headers: headers, body: request.body),
      into: request.target)
    if let date = response.headers["date"] {
      clock.take(date, sent: sent, received: Clock.now())
    }
    return response
  }

  /// Turns to the region in which the server says that the bucket is; false if it says nothing new.
  private func move(_ response: HTTPResponse) -> Bool {
    guard [301, 307, 400, 403].contains(response.status),
      let region = response.headers["x-amz-bucket-region"]
        ?? XMLElement.parse(response.body)?.text("Region")
    else { return false }
    return monitor.update {
      guard region != endpoint.region,
        region.utf8.allSatisfy({ $0 == 0x2D || ($0 | 0x20) >= 0x61 || (0x30...0x39).contains($0) })
      else { return false }
      if endpoint.isAmazon { endpoint = .amazon(region) } else { endpoint.region = region }
      return true
    }
  }
}

/// Waits between tries, each time longer.
private struct Pause {
  private let patience: Bucket.Patience
  private let begun = Clock.now()
  private(set) var tries = 1

  init(_ patience: Bucket.Patience) { self.patience = patience }

  /// Waits for the next try; false if it would be too late.
  mutating func wait() -> Bool {
    let longest = min(
      patience.longest, patience.shortest * Double(1 << min(tries, 20)) / 2)
    // Who failed together is not to come back together.
    let seconds = longest * Double.random(in: 0.5...1)
    guard Clock.now() - begun + seconds < patience.seconds else { return false }
    usleep(UInt32(seconds * 1e6))
    tries += 1
    return true
  }
}

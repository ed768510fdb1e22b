/// Which server has a bucket, and how a URL names the two.
struct Endpoint: Sendable, Equatable {
  /// The server.
  var server: ServerAddress
  /// The region that signatures name.
  var region: String
  /// Whether it is Amazon's own, found by the region.
  var isAmazon: Bool

  /// The usual one of a region.
  static func amazon(_ region: String) -> Endpoint {
    let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
    return Endpoint(
      server: ServerAddress(scheme: "https", host: "s3.\(region).\(domain)"), region: region,
      isAmazon: true)
  }

  /// What the environment and the profile say, in that order.
  ///
  /// - Throws: `S3Error` if the URL of a server is none.
  static func configured(_ environment: Environment, _ profile: Profile) throws -> Endpoint {
    let region =
      environment("AWS_REGION")?.nonempty ?? environment("AWS_DEFAULT_REGION")?.nonempty
      ?? profile.region ?? "us-east-1"
    guard
      let url = environment("AWS_ENDPOINT_URL_S3")?.nonempty
        ?? environment("AWS_ENDPOINT_URL")?.nonempty ?? profile.endpoint
    else { return .amazon(region) }
    guard let server = ServerAddress(url) else {
      throw S3Error(
        "reach", url, "it is no URL of a server, as http://host:port; see AWS_ENDPOINT_URL")
    }
    return Endpoint(server: server, region: region, isAmazon: false)
  }

  /// The host and the encoded path of a key.
  ///
  /// The bucket is a part of the host at Amazon, as long as a certificate can name it so, and of the
  /// path elsewhere.
  func place(_ bucket: String, _ key: String) -> (host: String, path: String) {
    let key = percentEncoded(key, keepingSlashes: true)
    let isHost =
      isAmazon && bucket.count <= 63
      && bucket.utf8.allSatisfy { $0 != 0x2E && $0 != 0x5F && !(0x41...0x5A).contains($0) }
    if isHost { return ("\(bucket).\(server.host)", "/\(key)") }
    return (server.host, "\(server.path)/\(bucket)" + (key.isEmpty ? "" : "/\(key)"))
  }
}

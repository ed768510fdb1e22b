internal import ByteIO

/// What `~/.aws/config` and `~/.aws/credentials` say for one name.
struct Profile {
  /// Where it was looked for, for messages.
  let places: String
  private let settings: [String: String]

  /// Finds the profile that the environment names, else `default`.
  ///
  /// - Parameter environment: for AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE and HOME.
  /// - Throws: `S3Error` if a profile was named that no file has; `IOFailure` if a file that is
  ///   there cannot be read.
  init(_ environment: Environment) throws {
    let named = environment("AWS_PROFILE")?.nonempty
    let name = named ?? "default"
    let home = environment("HOME") ?? ""
    let keys = environment("AWS_SHARED_CREDENTIALS_FILE")?.nonempty ?? "\(home)/.aws/credentials"
    let configuration = environment("AWS_CONFIG_FILE")?.nonempty ?? "\(home)/.aws/config"
    let files = [
      try Self.file(configuration, isConfiguration: true)[name],
      try Self.file(keys, isConfiguration: false)[name],
    ].compactMap(\.self)
    places = "profile '\(name)' of \(keys) or \(configuration)"
    if named != nil, files.isEmpty {
      throw S3Error(
        "find keys for", "s3://", code: "NoCredentials", status: 403,
        "there is no \(places); see AWS_PROFILE")
    }
    // The same key of both files is that of the file of credentials.
    settings = files.reduce([:]) { $0.merging($1) { _, last in last } }
  }

  private static func file(_ path: String, isConfiguration: Bool) throws -> ProfileFile {
    do {
      return ProfileFile(try smallText(path), isConfiguration: isConfiguration)
    } catch let failure as IOFailure where failure.isNotFound {
      return ProfileFile("", isConfiguration: isConfiguration)
    }
  }

  /// Its region.
  var region: String? { settings["region"]?.nonempty }
  /// Its server.
  var endpoint: String? { settings["endpoint_url"]?.nonempty }
  /// A file of certificates to trust.
  var certificates: String? { settings["ca_bundle"]?.nonempty }

  /// Its keys; nil if it has none.
  ///
  /// - Throws: `S3Error` if it is of a kind that is not understood, instead of taking other keys.
  func credentials() throws -> Credentials? {
    guard let key = settings["aws_access_key_id"]?.nonempty,
      let secret = settings["aws_secret_access_key"]?.nonempty
    else {
      for other in ["role_arn", "credential_process", "sso_start_url", "sso_session"]
      where settings[other] != nil {
        throw S3Error(
          "find keys for", "s3://", code: "NoCredentials", status: 403,
          "\(places) has \(other), which volpipe does not follow; "
            + "'aws configure export-credentials --format env' prints keys that it takes")
      }
      return nil
    }
    return Credentials(
      accessKey: key, secretKey: secret, sessionToken: settings["aws_session_token"]?.nonempty)
  }
}

/// The keys that requests are signed with.
package struct Credentials: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
  /// The name of the key, which is no secret.
  package var accessKey: String
  /// The secret.
  package var secretKey: String
  /// What goes with keys that are valid for some hours; nil for others.
  package var sessionToken: String?
  /// When they end: seconds since 1970; nil if they do not.
  package var expiration: Double?

  /// Holds keys.
  package init(
    accessKey: String, secretKey: String, sessionToken: String? = nil, expiration: Double? = nil
  ) {
    self.accessKey = accessKey
    self.secretKey = secretKey
    self.sessionToken = sessionToken
    self.expiration = expiration
  }

  /// Without the secrets, so that they come into no message.
  package var description: String { "Credentials(\(accessKey))" }
  /// The same, for whatever prints values by their parts.
  package var customMirror: Mirror { Mirror(self, children: ["accessKey": accessKey]) }
}

/// The variables of the environment, or those of a test.
typealias Environment = @Sendable (String) -> String?

extension String {
  /// Nil if it is empty: a variable that is set to nothing says nothing.
  var nonempty: String? { isEmpty ? nil : self }
}

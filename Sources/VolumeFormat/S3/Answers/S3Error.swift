package import ByteIO

/// What a server of S3 refused, or why it could not be asked.
package struct S3Error: ExplainedError {
  /// What was tried: a verb, such as `read`.
  var operation: String
  /// On what: `s3://bucket/key`.
  var place: String
  /// The server's word for it, such as `AccessDenied`; empty if no server said anything.
  var code: String
  /// Its status; 0 if there was no response.
  var status: Int
  /// Why, without a full stop.
  var reason: String
  /// Whether what was asked may be done for all that.
  var mayBeDone = false

  /// Its kind.
  package var failureKind: FailureKind {
    switch (status, code) {
    case (401, _), (403, _), (400, "ExpiredToken"), (400, "InvalidToken"),
      (400, "AuthorizationHeaderMalformed"):
      .noPermission
    case (404, _): .noInput
    case (0, _), (429, _), (500..., _): .unavailable
    default: .inputOutput
    }
  }

  /// In one line.
  package var explanation: String {
    "cannot \(operation) '\(place)': \(bounded(reason, 500))"
  }

  /// Reads what a server said: its code and message, in XML.
  init(_ operation: String, _ place: String, _ response: HTTPResponse) {
    self.operation = operation
    self.place = place
    status = response.status
    let answer = XMLElement.parse(response.body).flatMap { $0.name == "Error" ? $0 : nil }
    code = answer?.text("Code") ?? ""
    let said = answer?.text("Message") ?? ""
    // A message may be anything; it is to be a part of one line.
    let message = String(
      said.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) })
    let bare = message.hasSuffix(".") ? String(message.dropLast()) : message
    reason =
      switch (code.isEmpty, bare.isEmpty) {
      case (true, true): Self.words(status)
      case (true, false): "\(bare) (status \(status))"
      case (false, true): code
      case (false, false): "\(code) (\(bare))"
      }
    if let advice = Self.advice(code, status) { reason += "; \(advice)" }
  }

  /// Says that no response came.
  init(_ operation: String, _ place: String, _ failure: TransportFailure) {
    self.operation = operation
    self.place = place
    status = 0
    switch failure {
    case .refused(let text), .broken(let text): (code, reason) = ("", text)
    case .tooLong: (code, reason) = (Self.tooLong, "the answer is longer than it may be")
    }
  }

  private static let tooLong = "TooLong"

  /// Makes an error of its parts.
  init(_ operation: String, _ place: String, code: String = "", status: Int = 0, _ reason: String) {
    self.operation = operation
    self.place = place
    self.code = code
    self.status = status
    self.reason = reason
  }

  private static func words(_ status: Int) -> String {
    switch status {
    case 301, 307: "the bucket is in another region (status \(status))"
    case 401, 403: "the server refuses it (status \(status))"
    case 404: "there is no such bucket or object (status 404)"
    case 503: "the server is too busy (status 503)"
    default: "the server answers with status \(status)"
    }
  }

  /// What a user can do about it.
  private static func advice(_ code: String, _ status: Int) -> String? {
    switch code {
    case "NoSuchBucket": "make the bucket first, or see AWS_ENDPOINT_URL"
    case "InvalidAccessKeyId": "see AWS_ACCESS_KEY_ID and AWS_PROFILE"
    case "SignatureDoesNotMatch": "see AWS_SECRET_ACCESS_KEY, and AWS_REGION"
    case "ExpiredToken", "InvalidToken", "TokenRefreshRequired": "get new credentials"
    case "RequestTimeTooSkewed": "set this machine's clock"
    case "AccessDenied": "the key may not do this; see vol-s3(7)"
    default: nil
    }
  }

  /// Whether it may go well if it is tried again, by its status and code.
  var isPassing: Bool {
    switch (status, code) {
    case (0, _): false
    case (400, "RequestTimeout"), (409, "ConditionalRequestConflict"), (409, "OperationAborted"):
      true
    case (408, _), (429, _), (500, _), (502, _), (503, _), (504, _): true
    default: false
    }
  }

  /// Whether the answer was longer than there is room for.
  var isTooLong: Bool { status == 0 && code == Self.tooLong }

  /// Whether there is no such object.
  var isNotFound: Bool { status == 404 && code != "NoSuchBucket" }
}

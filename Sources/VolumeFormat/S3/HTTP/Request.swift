/// A request of HTTP, as it goes out.
package struct HTTPRequest: Sendable {
  /// Its verb.
  package enum Method: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case put = "PUT"
    case post = "POST"
    case delete = "DELETE"
  }

  /// A header line.
  package struct Header: Sendable, Equatable {
    /// Its name, in lower case.
    package var name: String
    /// Its value, without line ends.
    package var value: String

    /// Makes one.
    package init(name: String, value: String) { (self.name, self.value) = (name, value) }
  }

  var method: Method
  /// The whole URL, encoded.
  var url: String
  var headers: [Header]
  /// What is sent behind the headers; whoever sends the request keeps it where it is until then.
  nonisolated(unsafe) var body: UnsafeRawBufferPointer?
}

/// What came back.
struct HTTPResponse: Sendable {
  /// The status: 200, 404 and so on.
  var status: Int
  /// Headers by their names in lower case.
  var headers: [String: String]
  /// The body; of a success into a buffer, empty.
  var body: [UInt8]
  /// Bytes that went into the buffer.
  var bytesTaken: Int

  /// Whether it says that all went well.
  var isSuccess: Bool { (200..<300).contains(status) }

  /// The size of the whole that a part was asked of, from `Content-Range: bytes 0-9/1234`.
  var totalBytes: UInt64? {
    guard let range = headers["content-range"], let slash = range.lastIndex(of: "/") else {
      return nil
    }
    return UInt64(range[range.index(after: slash)...])
  }
}

/// Where the body of a success goes; that of a failure is kept up to 64 KiB.
enum ResponseBody: @unchecked Sendable {
  /// Into an array of at most so many bytes.
  case bytes(maximum: Int)
  /// Into memory, which stays where it is until there is a response.
  case buffer(UnsafeMutableRawBufferPointer)

  /// The most bytes of what a server says beside data.
  static let document = ResponseBody.bytes(maximum: 8 << 20)
}

/// Why there is no response.
enum TransportFailure: Error, Sendable {
  /// The server or its certificate is not what was asked for: another try ends the same way.
  case refused(String)
  /// The connection failed on the way; the server may have done what was asked.
  case broken(String)
  /// The body is longer than there is room for.
  case tooLong
}

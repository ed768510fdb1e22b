import ByteIO
import Glibc

/// A server on loopback that says what it is told to, a reply for each request, and keeps what it was
/// asked.
final class CannedServer: @unchecked Sendable {
  /// What is done with a request.
  enum Reply: Sendable {
    /// A status, headers and a body.
    case answer(Int, [String: String] = [:], String = "")
    /// The connection is closed before there is a reply.
    case reset
    /// A reply that says that its body has so many bytes more than come.
    case truncated(Int, [String: String] = [:], String, missing: Int)
  }

  /// A request: its first line, its headers by names in lower case, its body.
  struct Request: Sendable {
    var line: String
    var headers: [String: String]
    var body: [UInt8]
  }

  let url: String
  private let listener: Int32
  private let monitor = Monitor()
  private var replies: [Reply]
  private var taken: [Request] = []

  /// Listens; after the last of `replies` all requests get status 500.
  init(_ replies: [Reply]) throws {
    self.replies = replies
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 64) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    guard bound else { throw IOFailure(.create, "listen at", "127.0.0.1", .addressInUse) }
    self.listener = listener
    url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
    _ = try WorkerThread { self.serve() }
  }

  /// What it was asked so far.
  var requests: [Request] { monitor.update { taken } }

  private func serve() {
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { return }
      _ = try? WorkerThread {
        while let request = self.read(connection), self.reply(to: request, on: connection) {}
        close(connection)
      }
    }
  }

  private func read(_ connection: Int32) -> Request? {
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 16)
    func take() -> Bool {
      let count = recv(connection, &room, room.count, 0)
      if count > 0 { bytes += room[..<count] }
      return count > 0
    }
    let end = Array("\r\n\r\n".utf8)
    var head = 0
    while true {
      if let place = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) {
        head = place
        break
      }
      guard bytes.count < 1 << 16, take() else { return nil }
    }
    let lines = String(decoding: bytes[..<head], as: UTF8.self).split(separator: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] = parts.count > 1 ? String(parts[1].dropFirst()) : ""
    }
    let length = headers["content-length"].flatMap { Int($0) } ?? 0
    while bytes.count < head + 4 + length { guard take() else { return nil } }
    return Request(
      line: String(lines.first ?? ""), headers: headers,
      body: Array(bytes[(head + 4)..<(head + 4 + length)]))
  }

  /// False if the connection is to be closed.
  private func reply(to request: Request, on connection: Int32) -> Bool {
    let reply = monitor.update { () -> Reply in
      taken.append(request)
      return replies.isEmpty ? .answer(500) : replies.removeFirst()
    }
    func send(_ status: Int, _ headers: [String: String], _ body: String, missing: Int = 0) {
      var text = "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count + missing)\r\n"
      for (name, value) in headers { text += "\(name): \(value)\r\n" }
      let isHead = request.line.hasPrefix("HEAD")
      let bytes = Array((text + "\r\n" + (isHead ? "" : body)).utf8)
      _ = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
    switch reply {
    case .answer(let status, let headers, let body): send(status, headers, body)
    case .reset: return false
    case .truncated(let status, let headers, let body, let missing):
      send(status, headers, body, missing: missing)
      return false
    }
    return true
  }
}

internal import ByteIO
import CCurl

/// What holds for all requests of a transport.
struct TransportSettings: Sendable {
  /// A file of certificates to trust; nil for the system's.
  var certificates: String?
  /// How long a connection may take to come about.
  var connectMilliseconds = 10_000
  /// How long a transfer may stand still.
  var stallSeconds = 30
}

/// Carries requests: one thread, over connections that are kept for the next.
///
/// Any number of threads may send at once; each waits for its own response.
final class Transport: @unchecked Sendable {
  private let multi: UnsafeMutableRawPointer
  private let settings: TransportSettings
  private let monitor = Monitor()
  /// What the thread has not begun yet; guarded by `monitor`.
  private var waiting: [Exchange] = []
  /// What it has begun, by its handle; the thread's own.
  private var running: [UnsafeMutableRawPointer: Exchange] = [:]

  /// Connections that are kept; more are made while more requests are under way.
  private static let keptConnections = 64

  /// Loads libcurl, and starts the thread.
  ///
  /// - Throws: `TransportFailure` if it cannot be had; `ThreadRefused`.
  init(_ settings: TransportSettings) throws {
    if let reason = volpipe_curl_load() {
      throw TransportFailure.refused(String(cString: reason))
    }
    guard let multi = volpipe_curl_multi_init() else {
      throw TransportFailure.refused("libcurl has no memory")
    }
    self.multi = multi
    self.settings = settings
    volpipe_curl_multi_set_number(multi, CURLMOPT_MAXCONNECTS, Self.keptConnections)
    _ = try WorkerThread { self.run() }
  }

  /// Sends a request and waits for the response, whatever its status.
  ///
  /// - Throws: `TransportFailure` if there is none.
  func send(
    _ request: HTTPRequest, into target: ResponseBody
  ) throws(TransportFailure) -> HTTPResponse {
    guard let easy = volpipe_curl_easy_init() else { throw .refused("libcurl has no memory") }
    let exchange = Exchange(OpaquePointer(easy), request, target)
    exchange.configure(settings)
    monitor.update { waiting.append(exchange) }
    volpipe_curl_multi_wakeup(multi)
    return try monitor.wait { exchange.result }.get()
  }

  private func run() {
    var count: CInt = 0
    while true {
      for exchange in monitor.update({ take(&waiting) }) { begin(exchange) }
      volpipe_curl_multi_perform(multi, &count)
      endAll()
      // Whoever sends wakes it.
      volpipe_curl_multi_poll(multi, 1000)
    }
  }

  private func take(_ list: inout [Exchange]) -> [Exchange] {
    defer { list = [] }
    return list
  }

  private func begin(_ exchange: Exchange) {
    let easy = UnsafeMutableRawPointer(exchange.easy)
    running[easy] = exchange
    guard volpipe_curl_multi_add(multi, easy) == CURLM_OK else {
      return end(easy, CURLE_OUT_OF_MEMORY)
    }
  }

  private func endAll() {
    var code = CURLE_OK
    while let easy = volpipe_curl_multi_ended(multi, &code) {
      volpipe_curl_multi_remove(multi, easy)
      end(easy, code)
    }
  }

  private func end(_ easy: UnsafeMutableRawPointer, _ code: CURLcode) {
    guard let exchange = running.removeValue(forKey: easy) else { return }
    let outcome = exchange.outcome(code)
    monitor.update { exchange.result = outcome }
  }
}

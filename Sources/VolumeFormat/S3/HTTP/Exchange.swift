import CCurl

/// A request under way: what libcurl's functions call back about it.
///
/// Filled by the transport's thread alone, until it has ended.
final class Exchange: @unchecked Sendable {
  /// libcurl's handle.
  let easy: OpaquePointer
  /// What came of it; guarded by the transport's monitor.
  var result: Result<HTTPResponse, TransportFailure>?

  private let request: HTTPRequest
  private let target: ResponseBody
  private var sent = 0
  private var headers: [String: String] = [:]
  private var body: [UInt8] = []
  private var taken = 0
  private var isTooLong = false
  private var lines: UnsafeMutablePointer<curl_slist>?
  private let message = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

  /// The most bytes of the body of a failure, which is a message.
  private static let maximumMessage = 64 << 10

  init(_ easy: OpaquePointer, _ request: HTTPRequest, _ target: ResponseBody) {
    self.easy = easy
    self.request = request
    self.target = target
    message.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  deinit {
    volpipe_curl_easy_cleanup(UnsafeMutableRawPointer(easy))
    if let lines { volpipe_curl_slist_free(lines) }
    message.deallocate()
  }

  /// Whom libcurl finds by its handle.
  private var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

  /// Tells libcurl all about the request.
  func configure(_ settings: TransportSettings) {
    let easy = UnsafeMutableRawPointer(easy)
    func set(_ option: CURLoption, _ value: Int) { volpipe_curl_set_number(easy, option, value) }
    func set(_ option: CURLoption, _ value: String?) {
      if let value { volpipe_curl_set_text(easy, option, value) }
    }
    volpipe_curl_set_pointer(easy, CURLOPT_PRIVATE, context)
    volpipe_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, message)
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_PATH_AS_IS, 1)
    set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_CONNECTTIMEOUT_MS, settings.connectMilliseconds)
    set(CURLOPT_LOW_SPEED_LIMIT, 1)
    set(CURLOPT_LOW_SPEED_TIME, settings.stallSeconds)
    set(CURLOPT_BUFFERSIZE, 512 << 10)
    set(CURLOPT_UPLOAD_BUFFERSIZE, 512 << 10)
    set(CURLOPT_CAINFO, settings.certificates)
    set(CURLOPT_URL, request.url)
    set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    switch request.method {
    case .head: set(CURLOPT_NOBODY, 1)
    case .put, .post:
      set(CURLOPT_UPLOAD, 1)
      volpipe_curl_set_size(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(request.body?.count ?? 0))
    case .get, .delete: break
    }
    // Without a value libcurl leaves out what it would add by itself.
    let ours = request.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
    for line in ours + ["Expect:", "Content-Type:"] {
      lines = volpipe_curl_slist_append(lines, line)
    }
    volpipe_curl_set_pointer(easy, CURLOPT_HTTPHEADER, lines)
    volpipe_curl_set_callbacks(
      easy,
      { bytes, size, count, context in
        Exchange.of(context)?.takeBody(bytes, size * count) ?? 0
      },
      { bytes, size, count, context in
        Exchange.of(context)?.takeHeader(bytes, size * count) ?? 0
      },
      { bytes, size, count, context in
        Exchange.of(context)?.giveBody(bytes, size * count) ?? 0
      },
      { context, offset, origin in
        Exchange.of(context)?.seek(offset, origin) ?? CURL_SEEKFUNC_FAIL
      },
      context)
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> Exchange? {
    context.map { Unmanaged<Exchange>.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: What libcurl calls

  private func takeHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    let line = String(
      decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    // A reply that follows another, as behind a proxy's or `100 Continue`, begins anew.
    if line.hasPrefix("HTTP/") { headers = [:] }
    guard headers.count < 200, let colon = line.firstIndex(of: ":") else { return count }
    let value = line[line.index(after: colon)...]
      .drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
    headers[line[..<colon].lowercased()] = String(value)
    return count
  }

  private func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    let part = UnsafeRawBufferPointer(start: bytes, count: count)
    guard isSuccess else {
      body += part.prefix(Self.maximumMessage - body.count)
      return count
    }
    switch target {
    case .bytes(let maximum):
      guard count <= maximum - body.count else {
        isTooLong = true
        return 0
      }
      body += part
    case .buffer(let room):
      guard count <= room.count - taken else {
        isTooLong = true
        return 0
      }
      UnsafeMutableRawBufferPointer(rebasing: room[taken...]).copyMemory(from: part)
    }
    taken += count
    return count
  }

  private func giveBody(_ room: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    guard let body = request.body, sent < body.count else { return 0 }
    let part = UnsafeRawBufferPointer(rebasing: body[sent...].prefix(count))
    UnsafeMutableRawBufferPointer(start: room, count: count).copyMemory(from: part)
    sent += part.count
    return part.count
  }

  /// Goes back in the body, where a connection that was kept turns out to be dead.
  private func seek(_ offset: curl_off_t, _ origin: CInt) -> CInt {
    guard origin == SEEK_SET, (0...(request.body?.count ?? 0)).contains(Int(offset)) else {
      return CURL_SEEKFUNC_FAIL
    }
    sent = Int(offset)
    return CURL_SEEKFUNC_OK
  }

  // MARK: Its end

  private var status: Int {
    volpipe_curl_get_number(UnsafeMutableRawPointer(easy), CURLINFO_RESPONSE_CODE)
  }

  private var isSuccess: Bool { (200..<300).contains(status) }

  /// What came of it, once libcurl says that it has ended.
  func outcome(_ code: CURLcode) -> Result<HTTPResponse, TransportFailure> {
    if isTooLong { return .failure(.tooLong) }
    guard code == CURLE_OK else {
      let detail = String(cString: message)
      let text = detail.isEmpty ? String(cString: volpipe_curl_strerror(code)) : detail
      let line = oneSentence(text)
      return .failure(Self.isFinal(code) ? .refused(line) : .broken(line))
    }
    var taken = 0
    if case .buffer = target, isSuccess { taken = self.taken }
    return .success(
      HTTPResponse(status: status, headers: headers, body: body, bytesTaken: taken))
  }

  /// Whether another try would end in the same way.
  private static func isFinal(_ code: CURLcode) -> Bool {
    [
      CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
      CURLE_SSL_CERTPROBLEM, CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL,
      CURLE_TOO_MANY_REDIRECTS, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_ENGINE_NOTFOUND,
    ].contains(code)
  }

  /// libcurl's message as a part of ours: begun in lower case and without a full stop.
  private func oneSentence(_ text: String) -> String {
    let line = text.split(separator: "\n").first.map(String.init) ?? "no reason given"
    let bare = line.hasSuffix(".") ? String(line.dropLast()) : line
    return bare.prefix(1).lowercased() + bare.dropFirst()
  }
}

internal import ByteIO
internal import CCrypto

extension Bucket {
  /// Makes an object of bytes in one request.
  ///
  /// - Parameters:
  ///   - key: its key.
  ///   - bytes: what it is to hold.
  ///   - onlyIfNew: whether it is a failure that there is one of that name.
  /// - Throws: `IOFailure` with `fileExists` if there is; what `send` throws.
  func put(_ key: String, _ bytes: UnsafeRawBufferPointer, onlyIfNew: Bool) throws {
    guard onlyIfNew else {
      _ = try send(writing(key, bytes))
      return
    }
    let (isMade, followsLostReply) = try create(key, bytes)
    if isMade { return }
    // It may be our own, of a try whose reply was lost.
    if followsLostReply, try holds(key, bytes) { return }
    throw IOFailure(.create, "create", place(key), .fileExists)
  }

  /// Makes an object if there is none of that name.
  ///
  /// - Returns: whether it was made, and whether an earlier try may have made it.
  /// - Throws: what `send` throws.
  func create(
    _ key: String, _ bytes: UnsafeRawBufferPointer
  ) throws -> (isMade: Bool, followsLostReply: Bool) {
    var request = writing(key, bytes)
    request.headers.append(.init(name: "if-none-match", value: "*"))
    request.accepted = [412]
    let reply = try send(request)
    return (reply.response.isSuccess, reply.followsLostReply)
  }

  private func writing(_ key: String, _ bytes: UnsafeRawBufferPointer) -> Request {
    Request(
      operation: "write", method: .put, key: key,
      headers: [.init(name: "x-amz-checksum-crc32", value: checksum(bytes))], body: bytes)
  }

  /// Whether an object has just these bytes.
  private func holds(_ key: String, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    guard try size(key) == UInt64(bytes.count) else { return false }
    if bytes.isEmpty { return true }
    let found = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    defer { found.deallocate() }
    _ = try read(key, at: 0, into: found)
    return found.elementsEqual(bytes)
  }

  /// Removes objects; one that is not there is no failure.
  ///
  /// - Throws: what `send` throws, for the first that could not be removed; the others are removed.
  func remove(_ keys: [String]) throws {
    guard keys.count > 1 else {
      for key in keys {
        _ = try send(Request(operation: "remove", method: .delete, key: key, accepted: [404]))
      }
      return
    }
    var failure: S3Error?
    // As many as a request may name.
    for start in stride(from: 0, to: keys.count, by: 1000) {
      let error = try removeTogether(keys[start..<min(keys.count, start + 1000)])
      failure = failure ?? error
    }
    if let failure { throw failure }
  }

  private func removeTogether(_ keys: ArraySlice<String>) throws -> S3Error? {
    let list = keys.map { "<Object><Key>\(xmlText($0))</Key></Object>" }.joined()
    let body = Array("<Delete><Quiet>true</Quiet>\(list)</Delete>".utf8)
    var digest = [UInt8](repeating: 0, count: 16)
    _ = body.withUnsafeBufferPointer { MD5($0.baseAddress, $0.count, &digest) }
    let reply = try body.withUnsafeBytes { bytes in
      try send(
        Request(
          operation: "remove", method: .post, key: "", query: [("delete", "")],
          headers: [.init(name: "content-md5", value: base64(digest))], body: bytes))
    }
    guard let answer = XMLElement.parse(reply.response.body), answer.name == "DeleteResult" else {
      return S3Error("remove", address.url, status: 200, "the server's answer is not one of S3")
    }
    return answer.all("Error").first.map { error in
      S3Error(
        "remove", place(error.text("Key") ?? ""), code: error.text("Code") ?? "",
        status: error.text("Code") == "AccessDenied" ? 403 : 500,
        error.text("Message") ?? error.text("Code") ?? "no reason given")
    }
  }
}

/// Text as XML has it.
func xmlText(_ text: String) -> String {
  var out = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": out += "&amp;"
    case "<": out += "&lt;"
    case ">": out += "&gt;"
    case "\"": out += "&quot;"
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out
}

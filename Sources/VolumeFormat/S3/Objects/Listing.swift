internal import Storage

extension Bucket {
  /// An entry of a listing.
  struct ListedObject {
    var key: String
    var bytes: UInt64
    /// Seconds since 1970, by the server.
    var modified: Double
    /// Of an upload that is not complete, its name.
    var upload: String?
  }

  /// Visits the objects whose keys begin with `prefix` and hold no further slash, page by page, in the
  /// order of their bytes; and the folders: prefixes of others up to the next slash.
  ///
  /// - Throws: `S3Error`; what the visitors throw.
  func list(
    _ prefix: String, object: (ListedObject) throws -> Void, folder: (String) throws -> Void
  ) throws {
    var token: String?
    repeat {
      var query = [
        ("list-type", "2"), ("prefix", prefix), ("delimiter", "/"), ("encoding-type", "url"),
      ]
      if let token { query.append(("continuation-token", token)) }
      let page = try self.page(prefix, query, "ListBucketResult")
      for entry in page.all("Contents") {
        let key = try decoded(entry.text("Key"), prefix)
        guard let bytes = entry.text("Size").flatMap(UInt64.init),
          let modified = entry.text("LastModified").flatMap(ServerClock.seconds(ofListing:))
        else { throw unreadable(prefix) }
        try object(ListedObject(key: key, bytes: bytes, modified: modified))
      }
      for entry in page.all("CommonPrefixes") {
        try folder(try decoded(entry.text("Prefix"), prefix))
      }
      token = try next(page, after: token, "NextContinuationToken", prefix)
    } while token != nil
  }

  /// The uploads under `prefix` that are not complete.
  ///
  /// - Throws: `S3Error`.
  func uploads(_ prefix: String) throws -> [ListedObject] {
    var found: [ListedObject] = []
    var token: String?
    var upload = ""
    repeat {
      var query = [("uploads", ""), ("prefix", prefix), ("encoding-type", "url")]
      if let token { query += [("key-marker", token), ("upload-id-marker", upload)] }
      let page = try self.page(prefix, query, "ListMultipartUploadsResult")
      for entry in page.all("Upload") {
        let key = try decoded(entry.text("Key"), prefix)
        guard let id = entry.text("UploadId"),
          let begun = entry.text("Initiated").flatMap(ServerClock.seconds(ofListing:))
        else { throw unreadable(prefix) }
        found.append(ListedObject(key: key, bytes: 0, modified: begun, upload: id))
      }
      upload = page.text("NextUploadIdMarker") ?? ""
      token = try next(page, after: token.map { $0 + upload }, "NextKeyMarker", prefix)
        .map { try decoded($0, prefix) }
    } while token != nil
    return found
  }

  private func page(
    _ prefix: String, _ query: [(String, String)], _ name: String
  ) throws -> XMLElement {
    let reply = try send(
      Request(operation: "list", method: .get, key: "", query: query))
    guard let page = XMLElement.parse(reply.response.body), page.name == name else {
      throw unreadable(prefix)
    }
    return page
  }

  /// What the next page begins behind; nil if there is none.
  private func next(
    _ page: XMLElement, after last: String?, _ name: String, _ prefix: String
  ) throws -> String? {
    guard page.text("IsTruncated") == "true" else { return nil }
    // A server that goes in a circle would never end.
    guard let token = page.text(name), !token.isEmpty, token != last else {
      throw unreadable(prefix)
    }
    return token
  }

  /// A key as it is, which must be one of those that were asked for.
  private func decoded(_ text: String?, _ prefix: String) throws -> String {
    guard let key = text.flatMap(percentDecoded), key.hasPrefix(prefix) else {
      throw unreadable(prefix)
    }
    return key
  }

  private func unreadable(_ prefix: String) -> S3Error {
    S3Error("list", place(prefix), status: 200, "the server's answer is not one of S3")
  }
}

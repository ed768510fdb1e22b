internal import ByteIO
internal import Frames

/// What all JSON documents of a dataset have in common; see vol-dataset(5).

/// The version of these documents.
let currentVersion: Int64 = 2

/// The version of a manifest with `committed`, which who does not know it would lose.
let listingVersion: Int64 = 3

/// Throws unless the document says that it is of `format`, in a version that is known.
func checkFormat(
  _ node: JSONNode, _ format: String, latest: Int64 = currentVersion
) throws(FormatError) {
  let source = node.document.source
  guard try node.required("format").string() == ExactString(format) else {
    throw FormatError(source, "its 'format' is not \(format)")
  }
  let version = try node.required("version").integer(Int64.self)
  guard (currentVersion...latest).contains(version) else {
    throw FormatError(
      source,
      "version \(version) of \(format); this program knows "
        + (latest == currentVersion
          ? "version \(latest)" : "versions \(currentVersion) to \(latest)")
        + (version > latest ? ": use a newer volpipe" : ""))
  }
  guard node.document.isSealed else {
    throw FormatError(source, "it does not end in its SHA-256: it was changed or cut off")
  }
}

extension JSONNode {
  /// An id of the dataset's own: 32 hexadecimal digits.
  func identifier() throws(FormatError) -> String {
    let text = try string().string
    guard Names.isHexadecimal(text, count: 32) else {
      throw bad("is not 32 hexadecimal digits")
    }
    return text
  }

  /// A SHA-256: 64 hexadecimal digits.
  func digest() throws(FormatError) -> String {
    let text = try string().string
    guard Names.isHexadecimal(text, count: 64) else {
      throw bad("is not 64 hexadecimal digits")
    }
    return text
  }

  /// A number of bytes, volumes or rows: from 0 to what a signed number holds.
  func size() throws(FormatError) -> UInt64 {
    let count = try integer(Int64.self)
    guard count >= 0 else { throw bad("is negative") }
    return UInt64(count)
  }

  /// A time in the one form that documents have.
  func time() throws(FormatError) -> String {
    let text = try string().string
    guard Clock.isText(text) else {
      throw bad("is not a time such as 2026-11-21T09:30:00.250000Z")
    }
    return text
  }
}

/// `volpipe.json`: what the directory is.
struct DatasetMarker {
  static let format = "volpipe-dataset"
  var datasetID: String
  var created: String

  var json: JSONObject {
    [
      "format": .text(Self.format), "version": .integer(currentVersion),
      "dataset_id": .text(datasetID), "created": .text(created),
    ]
  }
}

extension DatasetMarker {
  init(_ node: JSONNode) throws(FormatError) {
    try checkFormat(node, Self.format)
    datasetID = try node.required("dataset_id").identifier()
    created = try node.required("created").time()
  }
}

internal import ByteIO
internal import SystemPackage
internal import VolumeFormat

/// A JSON file beside a volume's, as BIDS has it.
enum Sidecar {
  /// The most bytes that one may have.
  static let maximumBytes = 1 << 20

  /// The object in the JSON file beside `files`, and the keys that it has twice; nil if there is no
  /// such file.
  ///
  /// - Throws: `FormatError` for anything but an object of at most 1 MiB; `IOFailure`.
  static func read(beside files: SourcePath) throws -> (
    object: JSONObject, repeated: [ExactString]
  )? {
    if files.isStandardInput { return nil }
    let path = files.sidecar
    let opened = Result { () throws(IOFailure) in try InputFile(path) }
    if case .failure(let failure) = opened, failure.isNotFound { return nil }
    let bytes = try PlainStream(try opened.get(), head: []).take(maximumBytes + 1)
    guard bytes.count <= maximumBytes else {
      throw FormatError(path.string, "a sidecar may have 1 MiB, and it has more")
    }
    let (value, repeated) = try JSON.parse(bytes, in: path.string)
    guard case .object(let object) = value else {
      throw FormatError(path.string, "it is no JSON object")
    }
    return (object, repeated)
  }
}

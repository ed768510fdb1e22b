internal import ByteIO
internal import SystemPackage
internal import VolumeFormat

/// A JSON file beside a volume's, as BIDS has it.
enum Sidecar {
  /// The most bytes that one may have.
  static let maximumBytes = 1 << 20

  /// How many bytes a byte of JSON may become when it is decoded.
  private static let growth = 64

  /// The object in the JSON file beside `files`, and the keys that it has twice; nil if there is no
  /// such file.
  ///
  /// - Throws: `FormatError` for anything but an object of at most 1 MiB; `NIfTIError` for a file
  ///   that is absent; `PassedOver` for what is no file; `IOFailure`.
  static func read(
    beside files: SourcePath, claim: (Int) throws -> Void
  ) throws -> (object: JSONObject, repeated: [ExactString])? {
    if files.isStandardInput { return nil }
    let path = files.sidecar
    guard let kind = try FoundFile.status(of: path)?.kind else { return nil }
    if kind.mayBlock { throw PassedOver(path, kind.rawValue) }
    let bytes = try PlainStream(FoundFile.open(path), head: []).take(maximumBytes + 1)
    guard bytes.count <= maximumBytes else {
      throw FormatError(path.string, "a sidecar may have 1 MiB, and it has more")
    }
    if bytes.count > 1 << 14 { try claim(bytes.count * growth) }
    let (value, repeated) = try JSON.parse(bytes, in: path.string)
    guard case .object(let object) = value else {
      throw FormatError(path.string, "it is no JSON object")
    }
    return (object, repeated)
  }
}

public import ByteIO

/// Bytes that are not what a format demands.
public struct FormatError: ExplainedError, CustomStringConvertible {
  /// The file, or a name such as `standard input`.
  public var source: String
  /// Byte offset in the source at which the offending part begins, where it is known.
  public var offset: UInt64?
  /// The `obs_id` of the volume that it costs, where it is known.
  public var volume: String?
  /// The number of the chunk in that volume, X fastest.
  public var chunk: Int?
  /// What was expected and what was found.
  public var reason: String

  /// Makes an error.
  public init(
    _ source: String, at offset: UInt64? = nil, volume: String? = nil, chunk: Int? = nil,
    _ reason: String
  ) {
    self.source = source
    self.offset = offset
    self.volume = volume
    self.chunk = chunk
    self.reason = reason
  }

  /// See `ExplainedError`.
  public var failureKind: FailureKind { .badData }

  /// `bad data in 'x' at byte 7: volume 'v', chunk 3: reason`.
  public var description: String {
    let place = offset.map { " at byte \($0)" } ?? ""
    let part = chunk.map { ", chunk \($0)" } ?? ""
    let owner = volume.map { " volume '\($0)'\(part):" } ?? ""
    return "bad data in '\(source)'\(place):\(owner) \(reason)"
  }
}

internal import ByteIO

/// The fixed parts of a frame; see vol-frames(5).
public enum Frame {
  /// Bytes of the prelude.
  public static let preludeSize = 20
  /// The longest header, in bytes.
  public static let maximumHeader = 4 << 20
  /// The longest body, in bytes.
  public static let maximumBody = 16 << 20
  /// The most extra frames in a volume.
  public static let maximumExtras = 65_535

  static let magic: UInt32 = 0x4D52_4656
  static let version: UInt8 = 1

  enum Kind: UInt8 {
    case open = 1
    case data, extra, close, drop, end
  }

  /// The 20 bytes before a header and a body of `bodyCount` bytes, checksum included.
  static func prelude(
    _ kind: Kind, header: UnsafeRawBufferPointer, bodyCRC: CRC32, bodyCount: Int
  ) -> [UInt8] {
    precondition(header.count <= maximumHeader && bodyCount <= maximumBody)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(preludeSize)
    bytes.appendLittle(magic)
    bytes.append(version)
    bytes.append(kind.rawValue)
    bytes.appendLittle(UInt16(0))
    bytes.appendLittle(UInt32(header.count))
    bytes.appendLittle(UInt32(bodyCount))
    var crc = CRC32()
    bytes.withUnsafeBytes { crc.update($0) }
    crc.update(header)
    crc.append(bodyCRC, count: bodyCount)
    bytes.appendLittle(crc.value)
    return bytes
  }

  /// Header of a close frame.
  struct Close {
    var voxels: UInt64
    var crc32: UInt32
    var quirks: [ExactString]

    var json: JSONObject {
      var result: JSONObject = ["voxels": .integer(voxels), "crc32": .integer(crc32)]
      if !quirks.isEmpty { result["quirks"] = .array(quirks.map { .string($0) }) }
      return result
    }
  }

  /// Header of an end frame.
  struct End {
    var volumes: UInt64
    var dropped: UInt64
    var skipped: UInt64

    /// Its members, after those of `others`.
    func json(_ others: JSONObject = JSONObject()) -> JSONObject {
      var result = others
      result["volumes"] = .integer(volumes)
      result["dropped"] = .integer(dropped)
      result["skipped"] = .integer(skipped)
      return result
    }
  }
}

extension Frame.Close {
  init(_ node: JSONNode) throws(FormatError) {
    voxels = try node.required("voxels").integer()
    crc32 = try node.required("crc32").integer()
    quirks = try node.optional("quirks")?.strings() ?? []
  }
}

extension Frame.End {
  init(_ node: JSONNode) throws(FormatError) {
    volumes = try node.required("volumes").integer()
    dropped = try node.required("dropped").integer()
    skipped = try node.optional("skipped")?.integer() ?? 0
  }
}

public import Frames
public import ByteIO

/// What the catalog holds of one volume; see vol-dataset(5).
public struct CatalogRecord: Sendable {
  /// The longest record, in bytes after its length field.
  static let maximumSize = 8 << 20
  /// The longest header that is let in: an open frame must hold it with its collection added.
  static let maximumHeader = Frame.maximumHeader - 4096
  /// Extras up to this length are held in the record if all of them together have at most
  /// `maximumInline` bytes.
  static let inlineExtra = 4096
  static let maximumInline = 1 << 16

  /// Source bytes that are not voxels.
  public struct Extra: Sendable, Equatable {
    /// Where the bytes are.
    public enum Place: Sendable, Equatable {
      case held([UInt8])
      case blob(offset: UInt64, length: UInt32)
    }
    /// Whether they follow the voxels.
    public var afterVoxels: Bool
    /// How many there are.
    public var count: Int
    /// Where they are.
    public var place: Place
  }

  /// The volume's id.
  public let obsID: ExactString
  /// The key of the id where it was needed already.
  private var knownKey: TextDigest?
  /// The open frame's header, as JSON.
  public var headerJSON: [UInt8]
  /// Bytes of the voxels.
  public var rawBytes: UInt64
  /// CRC-32 of the voxels.
  public var crc32: UInt32
  /// Number of the pack in the stage.
  public var pack: Int
  /// Where its shard begins in the pack.
  public var shardOffset: UInt64
  /// Bytes of its shard.
  public var shardLength: UInt64
  /// Whether its chunks are shuffled.
  public var isShuffled: Bool
  /// Voxels of a chunk, X first.
  public var chunk: [Int]
  /// Source bytes that are not voxels, in order.
  public var extras: [Extra]

  /// The key of the id in the index.
  public var key: TextDigest { knownKey ?? TextDigest(obsID) }

  /// A record before anything of the volume was written.
  init(
    obsID: ExactString, key: TextDigest, headerJSON: [UInt8], rawBytes: UInt64, isShuffled: Bool,
    chunk: [Int]
  ) {
    self.obsID = obsID
    knownKey = key
    self.headerJSON = headerJSON
    self.rawBytes = rawBytes
    self.isShuffled = isShuffled
    self.chunk = chunk
    pack = 0
    crc32 = 0
    shardOffset = 0
    shardLength = 0
    extras = []
  }

  /// The same record, which knows its key from now on.
  func keyed() -> CatalogRecord {
    var result = self
    result.knownKey = key
    return result
  }

  /// Bytes in the packs that belong to this volume.
  public var storedBytes: UInt64 {
    extras.reduce(shardLength) { sum, extra in
      if case .blob(_, let length) = extra.place { sum &+ UInt64(length) } else { sum }
    }
  }

  /// The header, decoded.
  ///
  /// - Throws: `FormatError` if it is no header, or is that of another volume.
  public func header(in source: String) throws(FormatError) -> VolumeHeader {
    let node = try headerNode(in: source)
    do throws(FormatError) {
      let header = try VolumeHeader(node)
      try check(header, in: source)
      return header
    } catch {
      throw error.volume == nil ? damage(error.reason, source) : error
    }
  }

  /// Throws unless a header is one that this record may have.
  func check(_ header: VolumeHeader, in source: String) throws(FormatError) {
    if let defect = header.defect() { throw damage(defect, source) }
    guard header.byteCount == rawBytes, header.shape.count == chunk.count,
      zip(header.shape, chunk).allSatisfy({ (1...$0).contains($1) })
    else { throw damage("header and record disagree", source) }
    guard !isShuffled || header.dtype.size > 1 else {
      throw damage("single bytes cannot be shuffled", source)
    }
  }

  /// The header as JSON, which says what the record does of whose it is.
  func headerNode(in source: String) throws(FormatError) -> JSONNode {
    do throws(FormatError) {
      let node = try JSONDocument(headerJSON, in: source).root
      if let key = try node.firstRepeatedKey() {
        throw damage("the key '\(key)' is there twice in its header", source)
      }
      guard try node.required("obs_id").string() == obsID else {
        throw damage("its header has another 'obs_id'", source)
      }
      return node
    } catch {
      throw error.volume == nil ? damage(error.reason, source) : error
    }
  }

  private func damage(_ reason: String, _ source: String) -> FormatError {
    FormatError(source, volume: obsID.string, reason)
  }

  /// The volume's subject, without decoding all of its header.
  func subject(in source: String) throws(FormatError) -> ExactString? {
    guard let subject = try headerNode(in: source).optional("obs_subject_id")?.string() else {
      return nil
    }
    if let defect = Names.defect(ofID: subject) {
      throw damage("'obs_subject_id' is not allowed: \(defect)", source)
    }
    return subject
  }

  /// Appends the record, its length first.
  func encode(into bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.appendLittle(UInt32(0))
    bytes.appendLittle(UInt16(obsID.utf8.count))
    bytes += Array(obsID.utf8)
    bytes.appendLittle(UInt32(headerJSON.count))
    bytes += headerJSON
    bytes.appendLittle(rawBytes)
    bytes.appendLittle(crc32)
    bytes.appendLittle(UInt32(pack))
    bytes.appendLittle(shardOffset)
    bytes.appendLittle(shardLength)
    bytes.append(isShuffled ? 1 : 0)
    bytes.append(UInt8(chunk.count))
    for extent in chunk { bytes.appendLittle(UInt32(extent)) }
    bytes.appendLittle(UInt16(extras.count))
    for extra in extras {
      bytes.append(extra.afterVoxels ? 1 : 0)
      switch extra.place {
      case .held(let held):
        bytes.append(0)
        bytes.appendLittle(UInt32(held.count))
        bytes += held
      case .blob(let offset, let length):
        bytes.append(1)
        bytes.appendLittle(UInt32(extra.count))
        bytes.appendLittle(offset)
        bytes.appendLittle(length)
      }
    }
    let length = UInt32(bytes.count - start - 4)
    bytes.withUnsafeMutableBytes { $0.storeLittle(length, at: start) }
  }

  /// Takes one record from `cursor`; nil if the bytes are not one.
  init?(_ cursor: inout ByteCursor) {
    guard let length = cursor.integer(UInt32.self), length <= Self.maximumSize,
      let body = cursor.take(Int(length))
    else { return nil }
    var c = ByteCursor(body)
    guard let idLength = c.integer(UInt16.self), let id = c.take(Int(idLength)),
      let obsID = ExactString(validating: id), Names.defect(ofID: obsID) == nil,
      let jsonLength = c.integer(UInt32.self), jsonLength <= Frame.maximumHeader,
      let json = c.take(Int(jsonLength)),
      let rawBytes = c.integer(UInt64.self), let crc32 = c.integer(UInt32.self),
      let pack = c.integer(UInt32.self), let shardOffset = c.integer(UInt64.self),
      let shardLength = c.integer(UInt64.self), let shuffled = c.integer(UInt8.self),
      shuffled <= 1, let axes = c.integer(UInt8.self),
      (1...VolumeHeader.maximumAxes).contains(Int(axes))
    else { return nil }
    self.obsID = obsID
    headerJSON = Array(json)
    self.rawBytes = rawBytes
    self.crc32 = crc32
    self.pack = Int(pack)
    self.shardOffset = shardOffset
    self.shardLength = shardLength
    isShuffled = shuffled == 1
    chunk = []
    for _ in 0..<axes {
      guard let extent = c.integer(UInt32.self) else { return nil }
      chunk.append(Int(extent))
    }
    guard let count = c.integer(UInt16.self) else { return nil }
    extras = []
    for _ in 0..<count {
      guard let after = c.integer(UInt8.self), after <= 1, let form = c.integer(UInt8.self),
        let length = c.integer(UInt32.self), (1...Frame.maximumBody).contains(Int(length))
      else { return nil }
      let place: Extra.Place
      if form == 0, let held = c.take(Int(length)) {
        place = .held(Array(held))
      } else if form == 1, let offset = c.integer(UInt64.self),
        let stored = c.integer(UInt32.self), Int(stored) <= Frame.maximumBody + (1 << 17)
      {
        place = .blob(offset: offset, length: stored)
      } else {
        return nil
      }
      extras.append(Extra(afterVoxels: after == 1, count: Int(length), place: place))
    }
    guard c.remaining == 0 else { return nil }
  }
}

public import Frames
public import ByteIO

/// What a Zarr v3 reader needs to know of a collection and its volumes; see vol-dataset(5), Shard.
public enum ZarrNode {
  private static let axes = ["x", "y", "z", "t", "u", "v", "w"]

  /// The name of a node for an id or a collection.
  ///
  /// Names that Zarr keeps for itself get a percent sign and the hexadecimal code of their first
  /// byte instead of it, and a percent sign is written `%25`.
  public static func name(_ id: ExactString) -> String {
    let isReserved = id.hasPrefix("__") || id == "zarr.json"
    var text: [UInt8] = []
    for (index, byte) in id.utf8.enumerated() {
      if byte == UInt8(ascii: "%") || (index == 0 && isReserved) {
        text += "%\(hexadecimalByte(byte))".utf8
      } else {
        text.append(byte)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func hexadecimalByte(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16, uppercase: true)
    return text.count < 2 ? "0\(text)" : text
  }

  /// The metadata of a group.
  public static func group(_ attributes: JSONObject) -> [UInt8] {
    JSON.encode([
      "zarr_format": .integer(3), "node_type": .string("group"), "attributes": .object(attributes),
    ])
  }

  /// The metadata of a volume: one shard, its axes the other way round, the channel last.
  ///
  /// Its attributes are the volume's header, but for what Zarr says itself, and for what only
  /// serves to make the source again.
  public static func array(_ header: VolumeHeader, _ record: CatalogRecord) -> [UInt8] {
    let channels: [JSONValue] = header.channels > 1 ? [.integer(header.channels)] : []
    func shape(_ extents: [Int]) -> JSONValue {
      .array(extents.reversed().map { .integer($0) } + channels)
    }
    let padded = zip(header.shape, record.chunk).map { ($0 + $1 - 1) / $1 * $1 }
    let names = axes.prefix(header.shape.count).reversed() + (channels.isEmpty ? [] : ["channel"])
    let zero: JSONValue =
      switch header.dtype {
      case .complex64, .complex128: .array([.integer(0), .integer(0)])
      default: .integer(0)
      }
    func codec(_ name: ExactString, _ configuration: JSONObject = [:]) -> JSONValue {
      .object(["name": .string(name), "configuration": .object(configuration)])
    }
    let little = codec("bytes", ["endian": .string("little")])
    let blosc = codec(
      "blosc",
      [
        "cname": .string("zstd"), "clevel": .integer(1), "blocksize": .integer(0),
        "shuffle": .string(record.isShuffled ? "shuffle" : "noshuffle"),
        "typesize": .integer(header.dtype.size),
      ])
    let sharding = codec(
      "sharding_indexed",
      [
        "chunk_shape": shape(record.chunk), "codecs": .array([little, blosc]),
        "index_codecs": .array([little, .object(["name": .string("crc32c")])]),
        "index_location": .string("end"),
      ])
    let key = codec("default", ["separator": .string("/")])
    return JSON.encode(
      JSONValue.object([
        "zarr_format": .integer(3), "node_type": .string("array"), "shape": shape(header.shape),
        "data_type": .text(header.dtype.rawValue), "fill_value": zero,
        "chunk_grid": codec("regular", ["chunk_shape": shape(padded)]), "chunk_key_encoding": key,
        "codecs": .array([sharding]), "dimension_names": .array(names.map { .text($0) }),
        "attributes": .object(attributes(header)),
      ]))
  }

  private static func attributes(_ header: VolumeHeader) -> JSONObject {
    var result = header.json
    for key: ExactString in ["source", "shape", "dtype", "channels", "collection"] {
      result[key] = nil
    }
    return result
  }

  /// The key of a volume's only chunk, below its node.
  public static func chunkKey(_ header: VolumeHeader) -> String {
    let count = header.shape.count + (header.channels > 1 ? 1 : 0)
    return "c" + String(repeating: "/0", count: count)
  }
}

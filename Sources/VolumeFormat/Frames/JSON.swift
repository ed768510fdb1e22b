internal import FoundationEssentials

/// Any JSON value, for keys that volpipe passes on without knowing them.
public enum JSONValue: Codable, Sendable, Equatable {
  case string(String)
  case integer(Int64)
  case unsigned(UInt64)
  case number(Double)
  case boolean(Bool)
  case array([JSONValue])
  case object([String: JSONValue])
  case null

  /// Decodes whatever comes.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .boolean(value)
    } else if let value = try? container.decode(Int64.self) {
      self = .integer(value)
    } else if let value = try? container.decode(UInt64.self) {
      self = .unsigned(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }

  /// Encodes the value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .string(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .unsigned(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .boolean(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    case .null: try container.encodeNil()
    }
  }
}

/// A key of a JSON object, known or not.
struct JSONKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// Bytes that JSON holds as text in base64.
public struct Base64: Codable, Sendable, Equatable {
  /// The bytes.
  public var bytes: [UInt8]

  /// Holds `bytes`.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Decodes them.
  public init(from decoder: any Decoder) throws {
    bytes = [UInt8](try decoder.singleValueContainer().decode(Data.self))
  }

  /// Encodes them.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Data(bytes))
  }
}

/// The one way in which volpipe reads and writes JSON.
public enum JSON {
  /// Under this key decoders find the name of the source, for their messages.
  static let sourceKey = CodingUserInfoKey(rawValue: "source").unsafelyUnwrapped
  /// Under this key, whether the document ends in its digest.
  static let sealedKey = CodingUserInfoKey(rawValue: "sealed").unsafelyUnwrapped
  /// The most values and keys of a document, which bounds the memory that decoding takes.
  static let maximumValues = 2_000_000

  /// Encodes with keys sorted, on one line unless `pretty`.
  ///
  /// Numbers that JSON lacks become the strings `NaN`, `Infinity` and `-Infinity`, as in Zarr v3.
  public static func encode(_ value: some Encodable, pretty: Bool = false) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      return [UInt8](try encoder.encode(value))
    } catch is EncodingError {
      throw FormatError("JSON", "a value cannot be written, as when it is nested over 500 deep")
    }
  }

  /// Decodes; errors name the key at fault, without the library's wording around it.
  public static func decode<T: Decodable>(
    _ type: T.Type, from bytes: [UInt8], in source: String, at offset: UInt64? = nil,
    isSealed: Bool = false
  ) throws(FormatError) -> T {
    guard separators(bytes) <= maximumValues else {
      throw FormatError(source, at: offset, "it holds over 2,000,000 values")
    }
    let decoder = JSONDecoder()
    decoder.userInfo[sourceKey] = source
    decoder.userInfo[sealedKey] = isSealed
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch let error as DecodingError {
      throw FormatError(source, at: offset, explain(error))
    } catch let error as FormatError {
      throw error
    } catch {
      throw FormatError(source, at: offset, "not JSON")
    }
  }

  /// How many values there are at most: what separates them is counted, but not in strings.
  private static func separators(_ bytes: [UInt8]) -> Int {
    // Shorter ones cannot hold so many.
    if bytes.count <= maximumValues { return 0 }
    var count = 0
    var isText = false
    var isEscaped = false
    for byte in bytes {
      if isText {
        if byte == UInt8(ascii: "\""), !isEscaped { isText = false }
        isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
      } else {
        switch byte {
        case UInt8(ascii: "\""): isText = true
        case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "{"): count += 1
        default: break
        }
      }
    }
    return count
  }

  private static func explain(_ error: DecodingError) -> String {
    func key(_ path: [any CodingKey]) -> String {
      path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let missing, let context):
      return "no '\(key(context.codingPath + [missing]))' in the JSON object"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return "'\(key(context.codingPath))' has a value of the wrong type"
    case .dataCorrupted(let context) where !context.codingPath.isEmpty:
      return "'\(key(context.codingPath))' has a value that is not allowed"
    default:
      return "not valid JSON"
    }
  }
}

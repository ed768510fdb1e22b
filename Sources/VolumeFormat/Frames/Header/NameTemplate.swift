public import ByteIO

/// A name made from a volume's header: text with fields in braces, such as `{subject}_{attrs.ses}`.
public struct NameTemplate: Sendable {
  /// What is wrong with the text of a template.
  public struct SyntaxError: Error {
    /// In words.
    public var reason: String
  }

  /// What becomes of the folders in `{path}`.
  public enum Folders: Sendable {
    /// They are folders.
    case kept
    /// They are parts of one name, joined by `_`.
    case joined
  }

  private enum Part: Sendable {
    case text(String)
    case field(Field, written: String)
  }

  private enum Field: Sendable {
    case name, obsID, subject, collection, path
    /// The folder of the source so many above it, from 1.
    case folder(Int)
    case attribute(ExactString)
  }

  /// What fields there are, for messages and help.
  public static let fields =
    "{name}, {obs_id}, {subject}, {collection}, {path}, {folder}, {folder.2} and {attrs.KEY}, for "
    + "short {KEY}"

  private var parts: [Part] = []
  private let folders: Folders

  /// Reads a template.
  ///
  /// - Throws: `SyntaxError` if it is none.
  public init(_ text: String, folders: Folders) throws(SyntaxError) {
    self.folders = folders
    // By bytes: a brace and a mark behind it are one Character.
    var rest = Array(text.utf8)[...]
    while let brace = rest.firstIndex(where: { [0x7B, 0x7D].contains($0) }) {
      guard rest[brace] == 0x7B, let end = rest[brace...].firstIndex(of: 0x7D) else {
        throw SyntaxError(reason: "a brace in it has no other")
      }
      let written = String(decoding: rest[(brace + 1)..<end], as: UTF8.self)
      parts.append(.text(String(decoding: rest[..<brace], as: UTF8.self)))
      parts.append(.field(try Self.field(written), written: written))
      rest = rest[(end + 1)...]
    }
    parts.append(.text(String(decoding: rest, as: UTF8.self)))
  }

  /// Whether it has a field.
  public var hasFields: Bool { parts.count > 1 }

  private static func field(_ written: String) throws(SyntaxError) -> Field {
    switch ExactString(written) {
    case "name": return .name
    case "obs_id": return .obsID
    case "subject": return .subject
    case "collection": return .collection
    case "path": return .path
    case "folder": return .folder(1)
    default: break
    }
    let parts = written.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1).map {
      String(Substring($0))
    }
    if parts.count == 2, parts[0] == "folder", let number = Int(parts[1]), (1...99).contains(number)
    {
      return .folder(number)
    }
    if parts.count == 2, parts[0] == "attrs", !parts[1].isEmpty {
      return .attribute(ExactString(parts[1]))
    }
    guard !written.isEmpty, written.utf8.allSatisfy(isOfWord) else {
      throw SyntaxError(reason: "there is no {\(bounded(written, 100))}; there are \(fields)")
    }
    return .attribute(ExactString(written))
  }

  private static func isOfWord(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
    default: false
    }
  }

  /// The name of a volume.
  ///
  /// - Parameters:
  ///   - header: the volume's.
  ///   - collection: what `{collection}` stands for; else the header's.
  /// - Returns: the name; `/` only where the template's own text has it, or for `{path}`.
  /// - Throws: `FormatError` if the header lacks a field or gives it a value that could lead to
  ///   another directory.
  public func name(
    of header: VolumeHeader, collection: ExactString? = nil
  ) throws(FormatError) -> ExactString {
    var result = ""
    for part in parts {
      switch part {
      case .text(let text): result += text
      case .field(let field, let written):
        let values = Self.values(of: field, header, collection)
        guard !values.isEmpty else {
          throw FormatError(header.label, "its header has nothing for {\(written)}")
        }
        for value in values {
          if let defect = Names.defect(ofID: value) {
            throw FormatError(header.label, "its \(written) cannot be part of a name: \(defect)")
          }
        }
        result += values.map(\.string).joined(separator: folders == .kept ? "/" : "_")
      }
    }
    return ExactString(result)
  }

  /// What a field stands for: one text, several for a path, none if the header has none.
  private static func values(
    of field: Field, _ header: VolumeHeader, _ collection: ExactString?
  ) -> [ExactString] {
    let name = header.name ?? header.obsID
    let value: ExactString?
    switch field {
    case .name: value = name
    case .obsID: value = header.obsID
    case .subject: value = header.obsSubjectID
    case .collection: value = collection ?? header.collection
    case .path:
      guard header.source?.path != nil, let name else { return [] }
      return header.sourceFolders + [name]
    case .folder(let number):
      let folders = header.sourceFolders
      value = number <= folders.count ? folders[folders.count - number] : nil
    case .attribute(let key): value = header.attributeText(key)
    }
    return value.map { [$0] } ?? []
  }

  /// The id of a volume for which no template was given: the one in its header, else its name and
  /// `_COLLECTION`, unless the name ends so already.
  public static func defaultObsID(
    of header: VolumeHeader, collection: ExactString
  ) -> ExactString {
    if let id = header.obsID { return id }
    let name = header.name ?? ""
    return name.hasSuffix(ExactString("_\(collection)"))
      ? name : ExactString("\(name)_\(collection)")
  }
}

extension VolumeHeader {
  /// The folders on the path of the source, the outermost first, without `.`, `..` and the root.
  fileprivate var sourceFolders: [ExactString] {
    guard let path = source?.path else { return [] }
    return path.utf8.split(separator: UInt8(ascii: "/")).dropLast()
      .map { ExactString(String(Substring($0))) }
      .filter { $0 != "." && $0 != ".." }
  }

  /// An attribute as text, where it is text, a number or a boolean; in a member of an object, its
  /// key follows a dot.
  fileprivate func attributeText(_ key: ExactString) -> ExactString? {
    func look(_ object: JSONObject, _ key: Substring.UTF8View) -> JSONValue? {
      if let value = object[ExactString(String(Substring(key)))] { return value }
      guard let dot = key.firstIndex(of: UInt8(ascii: ".")),
        case .object(let inner)? = object[ExactString(String(Substring(key[..<dot])))]
      else { return nil }
      return look(inner, key[key.index(after: dot)...])
    }
    switch attributes.flatMap({ look($0, Substring(key.string).utf8) }) {
    case .string(let text): return text
    case .number(let number): return number.text
    case .boolean(let flag): return flag ? "true" : "false"
    case .array, .object, .null, nil: return nil
    }
  }
}

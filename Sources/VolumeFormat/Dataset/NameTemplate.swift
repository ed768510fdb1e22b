public import ByteIO

/// A name made from a volume's header: text with `{name}`, `{obs_id}`, `{subject}` and
/// `{collection}` in it.
public struct NameTemplate: Sendable {
  private enum Part: Sendable {
    case text(String)
    case field(Field)
  }

  /// What may stand in braces.
  public enum Field: String, Sendable, CaseIterable {
    case name, obsID = "obs_id", subject, collection
  }

  private var parts: [Part] = []

  /// Reads a template; nil where a brace is open or a field is not one of `fields`.
  public init?(_ text: String, fields: [Field]) {
    // By bytes: a brace and a mark behind it are one Character.
    var rest = Array(text.utf8)[...]
    while let brace = rest.firstIndex(where: { [0x7B, 0x7D].contains($0) }) {
      guard rest[brace] == 0x7B, let end = rest[brace...].firstIndex(of: 0x7D),
        let field = Field(rawValue: String(decoding: rest[(brace + 1)..<end], as: UTF8.self)),
        fields.contains(field)
      else { return nil }
      parts.append(.text(String(decoding: rest[..<brace], as: UTF8.self)))
      parts.append(.field(field))
      rest = rest[(end + 1)...]
    }
    parts.append(.text(String(decoding: rest, as: UTF8.self)))
  }

  /// The name of a volume.
  ///
  /// - Parameters:
  ///   - header: the volume's.
  ///   - collection: what `{collection}` stands for; else the header's.
  /// - Returns: the name; `/` only where the template's own text has it.
  /// - Throws: `FormatError` if the header lacks a field or gives it a value that could lead to
  ///   another directory.
  public func name(
    of header: VolumeHeader, collection: ExactString? = nil
  ) throws(FormatError) -> ExactString {
    var result = ""
    for part in parts {
      switch part {
      case .text(let text): result += text
      case .field(let field):
        let value: ExactString? =
          switch field {
          case .name: header.name ?? header.obsID
          case .obsID: header.obsID
          case .subject: header.obsSubjectID
          case .collection: collection ?? header.collection
          }
        guard let value else {
          throw FormatError(header.label, "its header has nothing for {\(field.rawValue)}")
        }
        if let defect = Names.defect(ofID: value) {
          throw FormatError(
            header.label, "its \(field.rawValue) cannot be part of a name: \(defect)")
        }
        result += value.string
      }
    }
    return ExactString(result)
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

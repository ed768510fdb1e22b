public import ByteIO
internal import SystemPackage
internal import Frames

/// How a volume gets its subject and its attributes from its path, and from what lies beside it.
public struct SourceNaming: Sendable {
  /// How the path tells them; nil for what names and folders say by themselves.
  public var rule: SubjectRule?
  /// Reads what becomes the attribute `sidecar`; nil if nothing does.
  let sidecars: Sidecars?

  /// Makes a way of naming.
  ///
  /// - Parameters:
  ///   - rule: how a path tells subject and attributes.
  ///   - readsSidecars: whether the JSON files that go for a volume become an attribute.
  public init(rule: SubjectRule? = nil, readsSidecars: Bool = false) {
    self.rule = rule
    sidecars = readsSidecars ? Sidecars() : nil
  }

  /// What a path tells.
  struct Told {
    var subject: ExactString?
    var attributes: JSONObject
    /// What is odd about it.
    var quirk: String?
  }

  /// What the path of a volume tells.
  ///
  /// - Throws: `NIfTIError` if it does not match the rule.
  func tell(_ files: SourcePath) throws -> Told {
    let bids = BIDSName(files.name, in: files.folders)
    var told = Told(
      subject: Self.subject(named: files.name, bids), attributes: bids?.attributes ?? JSONObject())
    if let rule {
      let match = try rule.match(files.known)
      told.subject = match.subject ?? told.subject
      told.attributes.merge(match.attributes)
    }
    if let bids, let other = bids.otherSubject {
      told.quirk = "its name says sub-\(bids.subject), its folder sub-\(other)"
    }
    return told
  }

  /// The subject that a name and its folders tell: the BIDS `sub-XX`, else the name.
  ///
  /// - Parameters:
  ///   - name: the name of the volume.
  ///   - folders: the folders that lead to it, the outermost first.
  /// - Returns: nil if what tells it holds U+FFFD, which stands for bytes that are no text: two
  ///   people's could be the same.
  public static func subject(named name: String, in folders: [String] = []) -> ExactString? {
    subject(named: name, BIDSName(name, in: folders))
  }

  private static func subject(named name: String, _ bids: BIDSName?) -> ExactString? {
    let subject = bids.map { "sub-\($0.subject)" } ?? name
    return subject.unicodeScalars.contains("\u{FFFD}") ? nil : ExactString(subject)
  }
}

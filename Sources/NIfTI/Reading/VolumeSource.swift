public import ByteIO
internal import SystemPackage
public import VolumeFormat

/// A volume to be read: its files, and what is known of it besides what they hold.
public struct VolumeSource: Sendable {
  /// The files.
  public var files: SourcePath
  /// Its id, if a table gives one.
  public var obsID: ExactString?
  /// Its subject, if a table gives one.
  public var obsSubjectID: ExactString?
  /// Attributes that a table gives it.
  public var attributes = JSONObject()

  /// A volume of which its files only are known.
  public init(_ files: SourcePath) { self.files = files }

  /// The subject that the name tells: its BIDS `sub-XX`, else the name.
  ///
  /// A name with U+FFFD in it, which stands for bytes that are no text, tells none: two people's
  /// could be the same.
  public static func subject(named name: String) -> ExactString? {
    if name.unicodeScalars.contains("\u{FFFD}") { return nil }
    return ExactString(BIDSName(name).map { "sub-\($0.subject)" } ?? name)
  }

  /// Puts into a volume's header what is known of it.
  ///
  /// Of attributes, those of the table hold before the sidecar, that before entities of the name.
  ///
  /// `claim` is that of `NIfTIFile`.
  ///
  /// - Returns: a sidecar that is no file; the header says so among its quirks.
  /// - Throws: `FormatError`, `NIfTIError` or `IOFailure` for a sidecar that cannot be read.
  func describe(
    _ header: inout VolumeHeader, readsSidecar: Bool, claim: (Int) throws -> Void
  ) throws -> PassedOver? {
    header.obsID = obsID
    header.obsSubjectID = obsSubjectID
    var attributes = BIDSName(files.name)?.attributes ?? JSONObject()
    var passedOver: PassedOver?
    do {
      if readsSidecar, let sidecar = try Sidecar.read(beside: files, claim: claim) {
        attributes["sidecar"] = .object(sidecar.object)
        for key in sidecar.repeated {
          let quirk = ExactString("'\(key)' is twice in its sidecar, the last counts")
          header.quirks = (header.quirks ?? []) + [quirk]
        }
      }
    } catch let sidecar as PassedOver {
      passedOver = sidecar
      header.quirks =
        (header.quirks ?? []) + [ExactString("its sidecar is \(sidecar.what), and was not read")]
    }
    attributes.merge(self.attributes)
    if !attributes.isEmpty { header.attributes = attributes }
    return passedOver
  }
}

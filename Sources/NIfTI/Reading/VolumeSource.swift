internal import SystemPackage
public import VolumeFormat

/// A volume to be read: its files, and what is known of it besides what they hold.
public struct VolumeSource: Sendable {
  /// The files.
  public var files: SourcePath
  /// Its id, if a table gives one.
  public var obsID: String?
  /// Its subject, if a table gives one.
  public var obsSubjectID: String?
  /// Attributes that a table gives it.
  public var attributes: [String: JSONValue] = [:]

  /// A volume of which its files only are known.
  public init(_ files: SourcePath) { self.files = files }

  /// The subject that the name tells: its BIDS `sub-XX`, else the name.
  public static func subject(named name: String) -> String {
    BIDSName(name).map { "sub-\($0.subject)" } ?? name
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
    var attributes = BIDSName(files.name)?.attributes ?? [:]
    var passedOver: PassedOver?
    do {
      if readsSidecar { attributes["sidecar"] = try Sidecar.read(beside: files, claim: claim) }
    } catch let sidecar as PassedOver {
      passedOver = sidecar
      header.quirks = (header.quirks ?? []) + ["its sidecar is \(sidecar.what), and was not read"]
    }
    attributes.merge(self.attributes) { $1 }
    if !attributes.isEmpty { header.attributes = attributes }
    return passedOver
  }
}

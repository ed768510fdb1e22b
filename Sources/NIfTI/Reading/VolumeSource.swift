public import ByteIO
public import Frames

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

  /// Puts into a volume's header what is known of it.
  ///
  /// Of attributes, those of the table hold before the sidecar, that before what `naming` finds in
  /// the path, that before entities.
  ///
  /// `claim` is that of `NIfTIFile`.
  ///
  /// - Returns: a sidecar that is no file; the header says so among its quirks.
  /// - Throws: `FormatError`, `NIfTIError` or `IOFailure` for a sidecar that cannot be read or a
  ///   path that does not match.
  func describe(
    _ header: inout VolumeHeader, _ naming: SourceNaming, claim: (Int) throws -> Void
  ) throws -> PassedOver? {
    var quirks: [String] = []
    let told = try naming.tell(files)
    header.obsID = obsID
    header.obsSubjectID = obsSubjectID ?? told.subject
    if header.obsSubjectID == nil {
      quirks.append("its name is not all text, and tells no subject")
    }
    if let quirk = told.quirk { quirks.append(quirk) }
    var attributes = told.attributes
    var passedOver: PassedOver?
    do {
      if let sidecar = try naming.sidecars?.read(beside: files, claim: claim) {
        attributes["sidecar"] = .object(sidecar.object)
        quirks += sidecar.quirks
      }
    } catch let sidecar as PassedOver {
      passedOver = sidecar
      quirks.append("its sidecar is \(sidecar.what), and was not read")
    }
    attributes.merge(self.attributes)
    if !attributes.isEmpty { header.attributes = attributes }
    if !quirks.isEmpty { header.quirks = (header.quirks ?? []) + quirks.map { ExactString($0) } }
    return passedOver
  }
}

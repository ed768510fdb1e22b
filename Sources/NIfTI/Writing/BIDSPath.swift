public import ByteIO
public import VolumeFormat

/// Where the Brain Imaging Data Structure has a volume.
///
/// Source: the order of entities and the suffixes of its specification, version 1.10.
public enum BIDSPath {
  private static let entities = [
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec",
    "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split",
    "recording", "chunk", "seg", "res", "den", "label", "desc",
  ]
  private static let folders: [String: [String]] = [
    "anat": [
      "T1w", "T2w", "T1rho", "T1map", "T2map", "T2star", "T2starw", "T2starmap", "R1map", "R2map",
      "R2starmap", "PD", "PDw", "PDmap", "PDT2", "FLAIR", "FLASH", "inplaneT1", "inplaneT2",
      "angio",
      "MP2RAGE", "UNIT1", "MESE", "MEGRE", "VFA", "IRT1", "MPM", "MTR", "MTS", "MTRmap", "MTsat",
      "MTVmap", "MWFmap", "Chimap", "defacemask", "mask", "dseg", "probseg",
    ],
    "func": ["bold", "cbv", "phase", "boldref"],
    "dwi": ["dwi"],
    "fmap": [
      "phasediff", "phase1", "phase2", "magnitude", "magnitude1", "magnitude2", "fieldmap", "epi",
    ],
    "perf": ["asl", "m0scan", "asllabeling"],
    "pet": ["pet"],
    "ct": ["CT", "ct"],
  ]

  /// The path of a volume without its ending: `sub-01/ses-1/anat/sub-01_ses-1_T1w`.
  ///
  /// The subject is the volume's own, a `sub-` before it left out, or else its attribute `sub`.
  /// Other entities and the suffix are those of its attributes, as nifti-cat(1) takes them from a
  /// file's name; without a suffix there its collection is it. What BIDS cannot hold is refused and
  /// never cut: two subjects, or two sessions, must not become one.
  ///
  /// - Throws: `FormatError` if there is no subject, an entity is no label, or no folder is known
  ///   for the suffix, which the attribute `datatype` may name.
  public static func path(of header: VolumeHeader) throws(FormatError) -> ExactString {
    var labels = [("sub", try subject(of: header))]
    for key in entities.dropFirst() {
      if let label = try attribute(key, of: header) { labels.append((key, label)) }
    }
    let suffix = try attribute("suffix", of: header) ?? header.collection?.string ?? ""
    guard isLabel(suffix) else {
      throw FormatError(
        header.label, "it has no suffix for its name; nifti-cat --attr suffix=... gives it one")
    }
    let known = folders.first { $0.value.contains(suffix) }?.key
    let isFunctional = labels.contains { $0.0 == "task" }
    let sbref = suffix == "sbref" ? (isFunctional ? "func" : "dwi") : nil
    guard let folder = try attribute("datatype", of: header) ?? known ?? sbref else {
      throw FormatError(
        header.label,
        "no folder is known for the suffix '\(suffix)'; nifti-cat --attr datatype=... names one")
    }
    let name = labels.map { "\($0)-\($1)" }.joined(separator: "_") + "_\(suffix)"
    let above = labels.filter { $0.0 == "sub" || $0.0 == "ses" }.map { "\($0)-\($1)" }
    return ExactString((above + [folder, name]).joined(separator: "/"))
  }

  private static func subject(of header: VolumeHeader) throws(FormatError) -> String {
    guard let subject = header.obsSubjectID else {
      if let label = try attribute("sub", of: header) { return label }
      throw FormatError(
        header.label, "it has no subject to be named by; nifti-cat --subject-from gives it one")
    }
    let prefix = "sub-".utf8
    let label =
      subject.utf8.starts(with: prefix)
      ? String(Substring(subject.utf8.dropFirst(prefix.count))) : subject.string
    guard isLabel(label) else {
      throw FormatError(
        header.label,
        "its subject '\(subject)' cannot be in a name of BIDS, which has letters, digits and '+'; "
          + "a column obs_subject_id of nifti-cat --table gives it another")
    }
    return label
  }

  private static func attribute(
    _ key: String, of header: VolumeHeader
  ) throws(FormatError) -> String? {
    guard let value = header.attributes?[ExactString(key)], value != .null else { return nil }
    guard case .string(let text) = value else {
      throw FormatError(header.label, "its attribute '\(key)' is no text, as a name of BIDS needs")
    }
    guard isLabel(text.string) else {
      throw FormatError(
        header.label,
        "its attribute '\(key)' is '\(text)', which cannot be in a name of BIDS: it has letters, "
          + "digits and '+'")
    }
    return text.string
  }

  private static func isLabel(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
          || $0 == 0x2B
      }
  }
}

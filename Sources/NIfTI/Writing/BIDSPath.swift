public import ByteIO
public import Frames

/// Where the Brain Imaging Data Structure has a volume.
///
/// Source: the order of entities and the suffixes of its specification, version 1.10.
public enum BIDSPath {
  private static let entities = [
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec",
    "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split",
    "recording", "chunk", "seg", "res", "den", "label", "desc",
  ]
  /// The folders of the structure, which a source's path may tell.
  private static let datatypes: Set<String> = [
    "anat", "func", "dwi", "fmap", "perf", "pet", "meg", "eeg", "ieeg", "beh", "micr", "motion",
    "nirs", "mrs", "ct",
  ]
  /// Entities and suffixes of what was derived from a scan.
  private static let derived: Set<String> = [
    "space", "res", "den", "label", "desc", "seg", "mask", "dseg", "probseg",
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
  /// The folder is that of the attribute `datatype`, else the one that the source was in, else that
  /// of the suffix; what is of a task is functional.
  ///
  /// - Throws: `FormatError` if there is no subject, an entity is no label, or no folder is known.
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
    let isFunctional = labels.contains { $0.0 == "task" }
    let known = folders.first { $0.value.contains(suffix) }?.key
    let ofSuffix =
      suffix == "sbref" && !isFunctional
      ? "dwi" : isFunctional && [nil, "anat"].contains(known) ? "func" : known
    guard let folder = try attribute("datatype", of: header) ?? sourceFolder(header) ?? ofSuffix
    else {
      throw FormatError(
        header.label,
        "no folder is known for the suffix '\(suffix)'; nifti-cat --attr datatype=... names one")
    }
    let name = labels.map { "\($0)-\($1)" }.joined(separator: "_") + "_\(suffix)"
    let above = labels.filter { $0.0 == "sub" || $0.0 == "ses" }.map { "\($0)-\($1)" }
    return ExactString((above + [folder, name]).joined(separator: "/"))
  }

  /// Whether a volume is one that was derived from a scan, as a mask is.
  static func isDerived(_ path: ExactString) -> Bool {
    let name = path.string.split(separator: "/").last ?? ""
    return name.split(separator: "_").contains { part in
      derived.contains(String(part.split(separator: "-").first ?? ""))
    }
  }

  /// The label of a subject: without a `sub-` before it; nil if it is none.
  static func label(ofSubject subject: ExactString) -> String? {
    let label = dropping("sub", from: subject.string)
    return isLabel(label) ? label : nil
  }

  /// The folder that the source was in, if it is one of the structure.
  private static func sourceFolder(_ header: VolumeHeader) -> String? {
    let folder = header.source?.path?.string.split(separator: "/").dropLast().last
    return folder.map(String.init).flatMap { datatypes.contains($0) ? $0 : nil }
  }

  /// A label without its key, as in `ses-2`.
  private static func dropping(_ key: String, from label: String) -> String {
    let prefix = "\(key)-".utf8
    return label.utf8.starts(with: prefix)
      ? String(Substring(label.utf8.dropFirst(prefix.count))) : label
  }

  private static func subject(of header: VolumeHeader) throws(FormatError) -> String {
    guard let subject = header.obsSubjectID else {
      if let label = try attribute("sub", of: header) { return label }
      throw FormatError(
        header.label, "it has no subject to be named by; nifti-cat --subject-from gives it one")
    }
    guard let label = label(ofSubject: subject) else {
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
    let label = dropping(key, from: text.string)
    guard isLabel(label) else {
      throw FormatError(
        header.label,
        "its attribute '\(key)' is '\(text)', which cannot be in a name of BIDS: it has letters, "
          + "digits and '+'")
    }
    return label
  }

  private static func isLabel(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
          || $0 == 0x2B
      }
  }
}

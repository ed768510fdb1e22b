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
  /// Entities and suffix are those of its attributes, as nifti-cat(1) takes them from a file's
  /// name. Without them the subject is the volume's own, and the suffix its collection.
  ///
  /// - Throws: `FormatError` if there is no subject, or no folder for the suffix, which the
  ///   attribute `datatype` may name.
  public static func path(of header: VolumeHeader) throws -> ExactString {
    func attribute(_ key: String) -> String? {
      guard case .string(let text)? = header.attributes?[ExactString(key)], isLabel(text.string)
      else { return nil }
      return text.string
    }
    var labels: [(String, String)] = []
    for key in entities {
      if let label = attribute(key) { labels.append((key, label)) }
    }
    if labels.first?.0 != "sub" {
      let subject = header.obsSubjectID.map {
        $0.hasPrefix("sub-") ? String($0.string.dropFirst(4)) : $0.string
      }
      let label = (subject ?? "").filter { isLabel(String($0)) }
      guard !label.isEmpty else {
        throw FormatError(
          header.label, "it has no subject to be named by; nifti-cat --subject-from gives it one")
      }
      labels.insert(("sub", label), at: 0)
    }
    let suffix = attribute("suffix") ?? header.collection?.string ?? ""
    guard isLabel(suffix) else {
      throw FormatError(
        header.label, "it has no suffix for its name; nifti-cat --attr suffix=... gives it one")
    }
    let isFunctional = attribute("task") != nil
    let known = folders.first { $0.value.contains(suffix) }?.key
    let sbref = suffix == "sbref" ? (isFunctional ? "func" : "dwi") : nil
    guard let folder = attribute("datatype") ?? known ?? sbref else {
      throw FormatError(
        header.label,
        "no folder is known for the suffix '\(suffix)'; nifti-cat --attr datatype=... names one")
    }
    let name = labels.map { "\($0)-\($1)" }.joined(separator: "_") + "_\(suffix)"
    let above = labels.filter { $0.0 == "sub" || $0.0 == "ses" }.map { "\($0)-\($1)" }
    return ExactString((above + [folder, name]).joined(separator: "/"))
  }

  private static func isLabel(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
          || $0 == 0x2B
      }
  }
}

/// Files that people take for NIfTI, known by how they begin.
enum ForeignFormat {
  private struct Known {
    var name: String
    var advice: String
    var offset = 0
    var magics: [[UInt8]]
  }

  private static let known: [Known] = [
    .init(
      name: "DICOM", advice: "dcm2niix makes NIfTI files of a folder of it", offset: 128,
      magics: [Array("DICM".utf8)]),
    .init(
      name: "HDF5 (or MINC 2)", advice: "mnc2nii or h5py and nibabel make NIfTI of it",
      magics: [[0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]]),
    .init(
      name: "MINC 1 (netCDF)", advice: "mnc2nii makes NIfTI of it",
      magics: [[0x43, 0x44, 0x46, 1], [0x43, 0x44, 0x46, 2]]),
    .init(
      name: "NRRD", advice: "c3d or SimpleITK make NIfTI of it", magics: [Array("NRRD000".utf8)]),
    .init(
      name: "MetaImage", advice: "c3d or SimpleITK make NIfTI of it",
      magics: ["ObjectType", "NDims", "Comment ="].map { Array($0.utf8) }),
    .init(
      name: "FreeSurfer's MGH", advice: "mri_convert makes NIfTI of it",
      magics: [[0, 0, 0, 1, 0, 0]]),
    .init(
      name: "an array of NumPy", advice: "npy-cat reads it", magics: [[0x93] + Array("NUMPY".utf8)]),
    .init(
      name: "a zip archive", advice: "npy-cat reads .npz; unpack any other",
      magics: [[0x50, 0x4B, 3, 4]]),
    .init(name: "bzip2", advice: "bunzip2 it first", magics: [Array("BZh".utf8)]),
    .init(name: "xz", advice: "unxz it first", magics: [[0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]]),
    .init(name: "a PNG image", advice: "it is no volume", magics: [[0x89, 0x50, 0x4E, 0x47]]),
    .init(
      name: "a TIFF image", advice: "it is no NIfTI",
      magics: [[0x49, 0x49, 0x2A, 0], [0x4D, 0x4D, 0, 0x2A]]),
    .init(
      name: "JSON", advice: "--sidecar reads what lies beside a volume", magics: [Array("{".utf8)]),
  ]

  /// What a file is that begins so, and what to use instead; nil if it is not known.
  static func description(of bytes: [UInt8]) -> String? {
    let found = known.first { format in
      format.magics.contains { bytes.dropFirst(format.offset).starts(with: $0) }
    }
    return found.map { "it is \($0.name), not NIfTI: \($0.advice)" }
  }
}

internal import ByteIO
internal import CZip
internal import VolumeFormat

/// The arrays in a NumPy archive (.npz), which is a ZIP file of array files.
public final class NpzArchive {
  private let path: String
  private let archive: OpaquePointer
  /// The names of the arrays, in the order of the archive.
  public private(set) var names: [String] = []
  private var places: [UInt64] = []

  /// Opens an archive.
  ///
  /// - Throws: `FormatError` if it is none; `IOFailure` if it cannot be opened.
  public init(_ path: String) throws {
    // What cannot be opened at all is told with the system's reason.
    _ = try InputFile(path)
    var code: Int32 = 0
    guard let archive = zip_open(path, Int32(ZIP_RDONLY), &code) else {
      throw FormatError(path, "not a ZIP archive of NumPy arrays, or a damaged one")
    }
    self.path = path
    self.archive = archive
    for index in 0..<UInt64(max(0, zip_get_num_entries(archive, 0))) {
      guard let bytes = zip_get_name(archive, index, 0) else { continue }
      let name = String(cString: bytes)
      guard name.hasSuffix(".npy") else { continue }
      names.append(String(name.dropLast(4)))
      places.append(index)
    }
    if names.isEmpty { throw FormatError(path, "the archive holds no array") }
  }

  deinit { zip_discard(archive) }

  /// Copies array `number` to a file at `scratch`, whose name is then removed, and opens it.
  ///
  /// - Throws: `FormatError` if it is damaged; `IOFailure`.
  public func array(_ number: Int, scratch: String) throws -> NpyArray {
    let name = "\(path):\(names[number]).npy"
    let file = try OutputFile(creating: scratch, readable: true)
    let input = try InputFile(scratch)
    try Publishing.remove(scratch)
    guard let member = zip_fopen_index(archive, places[number], 0) else {
      throw FormatError(name, damage())
    }
    defer { zip_fclose(member) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = zip_fread(member, buffer.baseAddress, UInt64(buffer.count))
      if count == 0 { break }
      guard count > 0 else { throw FormatError(name, "it is damaged") }
      try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]))
    }
    try file.close()
    return try NpyArray(input, name: name)
  }

  private func damage() -> String {
    String(cString: zip_strerror(archive)).lowercased()
  }
}

import ByteIO
import CZip
import Frames
import NumPy

/// The arrays in a NumPy archive (.npz), which is a ZIP file of array files.
final class NpzArchive {
  private let path: String
  private let archive: OpaquePointer
  /// The names of the arrays, in the order of the archive.
  private(set) var names: [String] = []
  private var places: [UInt64] = []

  /// Opens an archive.
  ///
  /// - Throws: `FormatError` if it is none; `IOFailure` if it cannot be opened.
  init(_ path: String) throws {
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

  /// Copies an array to a scratch file, and opens it.
  ///
  /// - Parameters:
  ///   - number: its place in `names`, from 0.
  ///   - folder: where the scratch file may be made, which has no name.
  ///   - wanted: as `NpyArray` takes it.
  /// - Returns: the array, whose file is the copy.
  /// - Throws: `FormatError` if it is damaged, or longer than its header says: then nothing but its
  ///   header is copied; `IOFailure`.
  func array(
    _ number: Int, scratchFolder folder: String, as wanted: DataType? = nil
  ) throws -> NpyArray {
    let name = "\(path):\(names[number]).npy"
    var status = zip_stat()
    guard zip_stat_index(archive, places[number], 0, &status) == 0,
      status.valid & UInt64(ZIP_STAT_SIZE) != 0,
      let member = zip_fopen_index(archive, places[number], 0)
    else { throw FormatError(name, damage()) }
    defer { zip_fclose(member) }
    let copy = try MemberCopy(member, name: name, scratchFolder: folder)
    try copy.extend(to: min(status.size, UInt64(NpyArray.maximumHeader + 12)))
    let array = try NpyArray(
      try InputFile(reading: copy.file), name: name, size: status.size, as: wanted)
    let length = array.dataOffset + array.byteCount
    guard status.size == length else {
      throw FormatError(
        name, "it has \(status.size) bytes, and its header says \(length)")
    }
    try copy.extend(to: length)
    // Its checksum is compared where it ends.
    guard try copy.isAtEnd() else {
      throw FormatError(name, "it is damaged")
    }
    return array
  }

  private func damage() -> String {
    String(cString: zip_strerror(archive)).lowercased()
  }
}

/// The bytes of an archive's member, as far as they are wanted, in a scratch file.
private final class MemberCopy {
  let file: OutputFile
  private let member: OpaquePointer
  private let name: String
  private var count: UInt64 = 0

  init(_ member: OpaquePointer, name: String, scratchFolder: String) throws {
    self.member = member
    self.name = name
    file = try OutputFile(scratchIn: scratchFolder)
  }

  /// Copies on until there are `length` bytes.
  func extend(to length: UInt64) throws {
    guard count < length else { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while count < length {
      let wanted = min(UInt64(buffer.count), length - count)
      let taken = zip_fread(member, buffer.baseAddress, wanted)
      guard taken > 0 else { throw FormatError(name, "it is damaged") }
      try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<Int(taken)]))
      count += UInt64(taken)
    }
  }

  /// Whether nothing follows, and what came has the checksum that the archive says.
  func isAtEnd() throws -> Bool {
    var byte: UInt8 = 0
    return zip_fread(member, &byte, 1) == 0
  }
}

internal import Chunks
internal import Frames
internal import ByteIO

/// The header that packs and catalogs begin with.
enum FileHeader {
  static let size = 32
  static let pack = Array("volpack1".utf8)
  static let catalog = Array("volcat01".utf8)

  /// The bytes; `stage` is 32 hexadecimal digits.
  static func make(_ magic: [UInt8], stage: String, number: Int) -> [UInt8] {
    var bytes = magic
    let digits = Array(stage.utf8)
    for index in stride(from: 0, to: digits.count, by: 2) {
      let pair = String(decoding: digits[index...index + 1], as: UTF8.self)
      bytes.append(UInt8(pair, radix: 16) ?? 0)
    }
    bytes.appendLittle(UInt32(number))
    precondition(bytes.count == 28)
    bytes.appendLittle(bytes.withUnsafeBytes { CRC32C.of($0) })
    return bytes
  }

  /// Throws if `file` does not begin with this header.
  static func check(_ file: InputFile, _ magic: [UInt8], stage: String, number: Int) throws {
    var bytes = [UInt8](repeating: 0, count: size)
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    guard count == size, bytes == make(magic, stage: stage, number: number) else {
      throw FormatError(
        file.path, at: 0, "not the \(String(decoding: magic, as: UTF8.self)) file of its stage")
    }
  }
}

/// Size and digest of a finished file.
public struct FileSeal: Sendable, Equatable {
  /// Bytes.
  public var bytes: UInt64
  /// SHA-256, 64 hexadecimal digits.
  public var sha256: String

  init(bytes: UInt64, sha256: String) {
    self.bytes = bytes
    self.sha256 = sha256
  }

  /// Reads a file whole.
  init(of path: String) throws {
    let file = try InputFile.regular(path).file
    let digest = SHA256()
    let buffer = ScratchBuffer()
    let room = buffer.bytes(1 << 20)
    var size: UInt64 = 0
    while case let count = try file.read(into: room), count > 0 {
      digest.update(UnsafeRawBufferPointer(rebasing: room[..<count]))
      size += UInt64(count)
    }
    self.init(bytes: size, sha256: hexadecimal(digest.digest()))
  }
}

/// A file that is only ever appended to, with its digest taken on the way.
final class SealedFile {
  let path: String
  private let file: OutputFile
  private let digest = SHA256()
  private(set) var size: UInt64 = 0
  private var marked: UInt64 = 0

  /// Creates `path`, empty.
  init(creating path: String) throws {
    self.path = path
    file = try OutputFile(creating: path)
  }

  /// Creates `path` with the header; nothing is left there on failure.
  convenience init(creating path: String, magic: [UInt8], stage: String, number: Int) throws {
    try self.init(creating: path)
    do {
      try append(FileHeader.make(magic, stage: stage, number: number))
    } catch {
      try? Publishing.remove(path)
      throw error
    }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    try file.write(bytes)
    digest.update(bytes)
    size += UInt64(bytes.count)
  }

  func append(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try append($0) } }

  /// Remembers the present end for `rollBack`.
  func mark() {
    digest.mark()
    marked = size
  }

  /// Takes back all that was appended since `mark`.
  func rollBack() throws {
    try file.truncate(to: marked)
    digest.rollBack()
    size = marked
  }

  /// Flushes and closes the file.
  func seal() throws -> FileSeal {
    try file.sync()
    try file.close()
    return FileSeal(bytes: size, sha256: hexadecimal(digest.digest()))
  }
}

internal import ByteIO
internal import Frames
internal import Storage

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
  static func check(_ file: any ObjectReader, _ magic: [UInt8], stage: String, number: Int) throws {
    var bytes = [UInt8](repeating: 0, count: size)
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    guard count == size, bytes == make(magic, stage: stage, number: number) else {
      throw FormatError(
        file.path, at: 0, "not the \(String(decoding: magic, as: UTF8.self)) file of its stage")
    }
  }
}

/// An object that is only ever appended to, with its digest taken on the way.
final class SealedFile {
  private let file: any ObjectWriter
  private let digest = SHA256()
  private(set) var size: UInt64 = 0
  private var marked: UInt64 = 0

  /// Begins the object `name`, empty.
  init(_ name: ObjectName, in store: any Store) throws { file = try store.write(name) }

  /// Begins it with the header; nothing is left there on failure.
  convenience init(
    _ name: ObjectName, in store: any Store, magic: [UInt8], stage: String, number: Int
  ) throws {
    try self.init(name, in: store)
    do {
      try append(FileHeader.make(magic, stage: stage, number: number))
    } catch {
      abort()
      throw error
    }
  }

  /// What to call it in messages.
  var path: String { file.path }

  func append(_ bytes: UnsafeRawBufferPointer) throws {
    try file.append(bytes)
    digest.update(bytes)
    size += UInt64(bytes.count)
  }

  func append(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try append($0) } }

  /// Remembers the present end for `rollBack`.
  func mark() {
    digest.mark()
    marked = size
  }

  /// Takes back all that was appended since `mark`, where the store can; else it stays, for nothing.
  func rollBack() throws {
    guard try file.takeBack(to: marked) else { return }
    digest.rollBack()
    size = marked
  }

  /// Opens what was appended so far, where the store can; else nil.
  func reader() throws -> (any ObjectReader)? { try file.reader() }

  /// Makes it whole, visible and lasting.
  func seal() throws -> FileSeal {
    try file.finish()
    return FileSeal(bytes: size, sha256: hexadecimal(digest.digest()))
  }

  /// Removes it.
  func abort() { file.abort() }
}

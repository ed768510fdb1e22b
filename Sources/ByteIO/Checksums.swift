import CCrypto
import CISAL
import CZlib

/// The CRC-32 of zlib and gzip (polynomial 0xEDB88320, reflected).
public struct CRC32 {
  /// The checksum of the bytes so far.
  public private(set) var value: UInt32 = 0

  /// Begins with no bytes.
  public init() {}

  /// Takes in more bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    value = crc32_gzip_refl(
      value, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
  }

  /// Takes in the `count` bytes whose checksum is `other`, without looking at them again.
  public mutating func append(_ other: CRC32, count: Int) {
    value = UInt32(truncatingIfNeeded: crc32_combine(UInt(value), UInt(other.value), count))
  }

  /// The checksum of `bytes` alone.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32()
    crc.update(bytes)
    return crc.value
  }
}

/// CRC-32C (Castagnoli, polynomial 0x82F63B78, reflected), as in RFC 3720.
public struct CRC32C {
  private var state: UInt32 = 0xFFFF_FFFF

  /// Begins with no bytes.
  public init() {}

  /// The checksum of the bytes so far.
  public var value: UInt32 { ~state }

  /// Takes in more bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    var offset = 0
    while offset < bytes.count {
      // The library's length is a C int.
      let length = min(bytes.count - offset, 1 << 30)
      state = crc32_iscsi(
        UnsafeMutablePointer(mutating: (base + offset).assumingMemoryBound(to: UInt8.self)),
        Int32(length), state)
      offset += length
    }
  }

  /// The checksum of `bytes` alone.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var crc = CRC32C()
    crc.update(bytes)
    return crc.value
  }
}

/// SHA-256 of a growing sequence of bytes, with a way back to an earlier point.
public final class SHA256 {
  private var context = SHA256_CTX()
  private var saved: SHA256_CTX?

  /// Begins with no bytes.
  public init() { SHA256_Init(&context) }

  /// Takes in more bytes.
  public func update(_ bytes: UnsafeRawBufferPointer) {
    SHA256_Update(&context, bytes.baseAddress, bytes.count)
  }

  /// Remembers this point for `rollBack`.
  public func mark() { saved = context }

  /// Forgets all bytes since `mark`.
  public func rollBack() {
    guard let saved else { preconditionFailure("rollBack without mark") }
    context = saved
  }

  /// The 32 bytes of the digest; more bytes may follow.
  public func digest() -> [UInt8] {
    var copy = context
    var result = [UInt8](repeating: 0, count: 32)
    SHA256_Final(&result, &copy)
    return result
  }

  /// The digest of `bytes` alone.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    let digest = SHA256()
    digest.update(bytes)
    return digest.digest()
  }

  /// The digest of `bytes` alone, as 64 hexadecimal digits.
  public static func digits(of bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { hexadecimal(of($0)) }
  }
}

/// Lower-case hexadecimal.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  var text: [UInt8] = []
  for byte in bytes {
    text.append(digits[Int(byte >> 4)])
    text.append(digits[Int(byte & 15)])
  }
  return String(decoding: text, as: UTF8.self)
}

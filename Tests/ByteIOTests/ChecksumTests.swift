import ByteIO
import Testing

@Suite struct ChecksumTests {
  // The check values of the catalogue of parametrised CRC algorithms, and FIPS 180-4.
  private let nine = Array("123456789".utf8)

  @Test func crc32IsThatOfZlib() {
    #expect(nine.withUnsafeBytes { CRC32.of($0) } == 0xCBF4_3926)
  }

  @Test func crc32CIsCastagnoli() {
    #expect(nine.withUnsafeBytes { CRC32C.of($0) } == 0xE306_9283)
  }

  @Test func checksumsOfPartsAreThoseOfTheWhole() {
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for cut in [0, 1, 7, 4096, 9_999, 10_000] {
      var crc = CRC32()
      var castagnoli = CRC32C()
      for part in [bytes[..<cut], bytes[cut...]] {
        part.withUnsafeBytes {
          crc.update($0)
          castagnoli.update($0)
        }
      }
      #expect(crc.value == bytes.withUnsafeBytes { CRC32.of($0) })
      var joined = CRC32()
      for part in [bytes[..<cut], bytes[cut...]] {
        var crc = CRC32()
        part.withUnsafeBytes { crc.update($0) }
        joined.append(crc, count: part.count)
      }
      #expect(joined.value == crc.value)
      #expect(castagnoli.value == bytes.withUnsafeBytes { CRC32C.of($0) })
    }
  }

  @Test func sha256RollsBackToItsMark() {
    let digest = SHA256()
    Array("ab".utf8).withUnsafeBytes { digest.update($0) }
    digest.mark()
    Array("nonsense".utf8).withUnsafeBytes { digest.update($0) }
    digest.rollBack()
    Array("c".utf8).withUnsafeBytes { digest.update($0) }
    #expect(
      hexadecimal(digest.digest())
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }
}

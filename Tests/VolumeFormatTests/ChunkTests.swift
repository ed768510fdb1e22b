import Testing
import Chunks
import Datasets
import Frames

@Suite struct ChunkTests {
  @Test(arguments: [
    ("auto", [512, 512, 140], [32, 32, 16]),
    ("auto", [163_842], [16_384]),
    ("auto", [163_842, 1, 1], [16_384, 1, 1]),
    ("auto", [1, 1, 1, 1, 3, 20_000], [1, 1, 1, 1, 3, 5_461]),
    ("auto", [20, 20, 20, 100], [20, 20, 20, 2]),
    ("auto", [64, 64, 36, 1000], [32, 32, 16, 1]),
    ("isotropic", [70, 50, 33], [64, 50, 33]),
    ("axial", [70, 50, 33, 2], [70, 50, 1, 1]),
    ("coronal", [70, 50, 33], [70, 1, 33]),
    ("sagittal", [70, 50, 33], [1, 50, 33]),
    ("8,9", [70, 50, 33], [8, 9, 1]),
  ]) func chunkShapesFitTheVolume(name: String, shape: [Int], chunk: [Int]) throws {
    #expect(try #require(ChunkShape(name)).resolve(shape) == chunk)
  }

  @Test(arguments: ["", "0", "1,", "a", "1,2,3,4,5,6,7,8", "-1", "Auto"])
  func otherNamesAreNoChunkShapes(name: String) {
    #expect(ChunkShape(name) == nil)
  }

  @Test func chunksThatWouldBeTooLargeOrTooManyAreRefused() {
    #expect(ChunkGrid(shape: [1 << 28], chunk: [1 << 28], voxelBytes: 1) == nil)
    #expect(ChunkGrid(shape: [1 << 23], chunk: [1], voxelBytes: 1) == nil)
    #expect(ChunkGrid(shape: [1 << 40, 1 << 10], chunk: [1, 1], voxelBytes: 1) == nil)
  }

  @Test func encodedChunksDecode() throws {
    let codec = ChunkCodec()
    var generator = SystemRandomNumberGenerator()
    for size in [1, 2, 4, 8, 16] {
      for count in [1, 3, 17, 64, 5_000, 70_001] {
        for kind in 0..<3 {
          let chunk: [UInt8] = (0..<size * count).map { index in
            switch kind {
            case 0: UInt8.random(in: 0...255, using: &generator)
            case 1: UInt8(truncatingIfNeeded: index / 50)
            default: index == size * count - 1 ? 1 : 0
            }
          }
          for shuffle in [true, false] {
            var encoded: [UInt8] = []
            let length = chunk.withUnsafeBytes {
              codec.encode(
                $0, valueSize: size, shuffle: shuffle, level: 1, appendingTo: &encoded)
            }
            #expect(length == encoded.count)
            var decoded = [UInt8](repeating: 0xAA, count: chunk.count)
            let defect = encoded.withUnsafeBytes { encoded in
              decoded.withUnsafeMutableBytes {
                codec.decode(encoded, valueSize: size, shuffle: shuffle, into: $0)
              }
            }
            #expect(defect == nil && decoded == chunk, "\(size) x \(count), kind \(kind)")
          }
        }
      }
    }
  }

  /// Blosc takes a frame of the very length of the chunk for stored bytes.
  @Test func noFrameIsAsLongAsItsChunk() {
    let codec = ChunkCodec()
    var met = 0
    for seed in 0..<4_000 {
      let count = 24 + seed % 60
      let chunk = (0..<count).map { UInt8(truncatingIfNeeded: $0 % (3 + seed % 29) &* seed | 1) }
      var encoded: [UInt8] = []
      _ = chunk.withUnsafeBytes {
        codec.encode($0, valueSize: 1, shuffle: false, level: 1, appendingTo: &encoded)
      }
      #expect(encoded.count - ChunkCodec.framing != count)
      if abs(encoded.count - ChunkCodec.framing - count) < 5 { met += 1 }
      var decoded = [UInt8](repeating: 0, count: count)
      let defect = encoded.withUnsafeBytes { encoded in
        decoded.withUnsafeMutableBytes {
          codec.decode(encoded, valueSize: 1, shuffle: false, into: $0)
        }
      }
      #expect(defect == nil && decoded == chunk)
    }
    #expect(met > 20, "the chunks tried come near the length in question")
  }

  @Test func anyBitFlippedInAChunkIsNoticed() {
    let codec = ChunkCodec()
    let chunk = (0..<600).map { UInt8(truncatingIfNeeded: $0 / 5) }
    var encoded: [UInt8] = []
    _ = chunk.withUnsafeBytes {
      codec.encode($0, valueSize: 2, shuffle: true, level: 1, appendingTo: &encoded)
    }
    for bit in 0..<encoded.count * 8 {
      var changed = encoded
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      var decoded = [UInt8](repeating: 0, count: chunk.count)
      let defect = changed.withUnsafeBytes { changed in
        decoded.withUnsafeMutableBytes {
          codec.decode(changed, valueSize: 2, shuffle: true, into: $0)
        }
      }
      #expect(defect != nil || decoded == chunk, "bit \(bit)")
    }
  }
}

import ByteIO
import Chunks
import Foundation
import Testing

@Suite struct SlabTests {
  private typealias Case = (shape: [Int], chunk: [Int], window: [Range<Int>])

  private let cases: [Case] = [
    ([7], [3], [1..<6]),
    ([9, 7], [4, 3], [0..<9, 0..<7]),
    ([9, 7], [4, 3], [2..<9, 1..<6]),
    ([9, 7, 5], [9, 1, 5], [0..<9, 0..<7, 0..<5]),
    ([9, 7, 5], [9, 1, 5], [1..<8, 2..<7, 3..<5]),
    ([9, 7, 6], [4, 4, 4], [3..<9, 1..<7, 1..<6]),
    ([9, 7, 6], [1, 7, 6], [5..<6, 1..<7, 2..<3]),
    ([5, 4, 3, 3], [2, 3, 2, 2], [1..<5, 0..<4, 1..<3, 1..<3]),
  ]

  /// The voxels of a slab, whose bytes tell the order of the stream.
  private func fill(_ slab: Slab) throws {
    var value: UInt8 = 0
    for number in 0..<slab.bandCount {
      let band = slab.band(number)
      for index in band.indices {
        value = value == 250 ? 1 : value + 1
        band[index] = value
      }
      try slab.store(band: number)
    }
  }

  private func voxels(_ slab: Slab) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for number in 0..<slab.bandCount {
      try slab.load(band: number)
      bytes += slab.band(number)
    }
    return bytes
  }

  private func chunks(_ slab: Slab) throws -> [[UInt8]] {
    try (0..<slab.chunkCount).map { index in
      var chunk = [UInt8](repeating: 0xAA, count: slab.grid.chunkBytes)
      try chunk.withUnsafeMutableBytes { try slab.getChunk(index, into: $0) }
      return chunk
    }
  }

  /// A band of one voxel, of one row and more: the file holds what memory would.
  @Test(arguments: [1, 2, 7, 18, 40, 100, 150]) func aScratchFileHoldsWhatMemoryWould(
    maximumBytes: Int
  ) throws {
    let pool = SlabPool()
    let piece = ScratchBuffer()
    for (shape, chunk, window) in cases {
      let whole = try #require(ChunkGrid(shape: shape, chunk: chunk, voxelBytes: 2))
      for inOneSlab in [false, true] {
        let grid = whole.window(window, inOneSlab: inOneSlab)
        for number in 0..<grid.slabCount {
          func slab(_ maximumBytes: Int) throws -> Slab {
            try Slab(
              grid, number, pool: pool, maximumBytes: maximumBytes,
              scratch: { try OutputFile(scratchIn: NSTemporaryDirectory()) })
          }
          let (memory, scratch) = (try slab(.max), try slab(maximumBytes))
          try fill(memory)
          try fill(scratch)
          let (wanted, stored) = (try voxels(memory), try chunks(memory))
          let what: Comment = "\(shape), chunks \(chunk), window \(window), slab \(number)"
          #expect(try voxels(scratch) == wanted, what)
          #expect(try chunks(scratch) == stored, what)
          #expect(
            stored.joined().filter { $0 > 0 }.count == wanted.count, "all are in a chunk; \(what)")
          for back in [try slab(.max), try slab(maximumBytes)] {
            for (index, chunk) in stored.enumerated() {
              try chunk.withUnsafeBytes { bytes in
                let base = try #require(bytes.baseAddress)
                try back.putChunk(index, from: .values(base), valueSize: 2, piece: piece)
              }
            }
            #expect(try voxels(back) == wanted, what)
          }
        }
      }
    }
  }
}

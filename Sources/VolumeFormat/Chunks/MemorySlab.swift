internal import Glibc

/// A slab whose voxels are all in memory, in the order of the stream.
///
/// The memory is somebody else's. Chunks that have no voxel in common may be put by several threads
/// at a time; no two chunks have.
struct MemorySlab {
  private let grid: ChunkGrid
  private let region: SlabRegion
  /// The memory of the slab's voxels, X fastest.
  let voxels: UnsafeMutableRawBufferPointer

  /// Takes the beginning of `memory` for the voxels of a slab of `grid`.
  init(_ grid: ChunkGrid, _ region: SlabRegion, _ memory: UnsafeMutableRawBufferPointer) {
    self.grid = grid
    self.region = region
    voxels = UnsafeMutableRawBufferPointer(rebasing: memory[..<region.bytes])
  }

  /// Chunks of the slab.
  var chunkCount: Int { region.chunks.count }

  /// Fills `target` with chunk `index` of the slab; what lies outside of the slab is zero.
  func getChunk(_ index: Int, into target: UnsafeMutableRawBufferPointer) {
    if grid.isPartial(chunk: index, of: region) {
      target.initializeMemory(as: UInt8.self, repeating: 0)
    }
    let source = UnsafeRawBufferPointer(voxels)
    var runs = grid.runs(ofChunk: index, of: region)
    repeat {
      copyRows(
        runs, from: source, runs.inSlab, runs.slabStride, to: target, runs.inChunk,
        runs.chunkStride)
    } while runs.advance()
  }

  /// Takes what chunk `index` holds of the slab from `source`, which is a whole chunk.
  func putChunk(_ index: Int, from source: UnsafeRawBufferPointer) {
    var runs = grid.runs(ofChunk: index, of: region)
    repeat {
      copyRows(
        runs, from: source, runs.inChunk, runs.chunkStride, to: voxels, runs.inSlab,
        runs.slabStride)
    } while runs.advance()
  }

  /// Takes what chunk `index` holds of the slab from what it decoded to, in values of `valueSize`
  /// bytes; only the rows that are wanted are joined.
  func putChunk(_ index: Int, from plain: ChunkCodec.Plain, valueSize: Int) {
    let chunkBytes = grid.chunkBytes
    var runs = grid.runs(ofChunk: index, of: region)
    repeat { plain.copy(runs, of: chunkBytes, valueSize, to: voxels) } while runs.advance()
  }
}

extension ChunkCodec.Plain {
  /// Copies the runs of a chunk of `total` bytes, whole values of `valueSize`, to their slab.
  fileprivate func copy(
    _ runs: ChunkRuns, of total: Int, _ valueSize: Int, to voxels: UnsafeMutableRawBufferPointer
  ) {
    precondition(
      runs.inChunk + (runs.rows - 1) * runs.chunkStride + runs.count <= total
        && runs.inSlab + (runs.rows - 1) * runs.slabStride + runs.count <= voxels.count)
    guard let base = voxels.baseAddress else { return }
    let out = base + runs.inSlab
    switch self {
    case .zeros:
      for row in 0..<runs.rows { memset(out + row * runs.slabStride, 0, runs.count) }
    case .values(let plain):
      for row in 0..<runs.rows {
        memcpy(
          out + row * runs.slabStride, plain + runs.inChunk + row * runs.chunkStride, runs.count)
      }
    case .planes(let plain):
      Shuffle.undo(
        from: plain + runs.inChunk / valueSize, planeCount: total / valueSize, to: out,
        count: runs.count / valueSize, size: valueSize, rows: runs.rows,
        sourceStride: runs.chunkStride / valueSize, targetStride: runs.slabStride)
    case .defect: preconditionFailure("a chunk that did not decode")
    }
  }
}

/// Copies the rows of one stop of `runs`; places and strides are in bytes.
@inline(__always)
private func copyRows(
  _ runs: ChunkRuns,
  from source: UnsafeRawBufferPointer, _ start: Int, _ stride: Int,
  to target: UnsafeMutableRawBufferPointer, _ targetStart: Int, _ targetStride: Int
) {
  let (rows, count) = (runs.rows, runs.count)
  precondition(
    targetStart + (rows - 1) * targetStride + count <= target.count
      && start + (rows - 1) * stride + count <= source.count)
  guard let target = target.baseAddress, let source = source.baseAddress else { return }
  for row in 0..<rows {
    memcpy(target + targetStart + row * targetStride, source + start + row * stride, count)
  }
}

import ByteIO
import FuzzSupport
import NIfTI
import Chunks
import Datasets
import Frames

nonisolated(unsafe) private let file = MemoryFile()
nonisolated(unsafe) private let output = MemoryFile()

/// A frame stream: as it comes if the first byte is even; else what follows says what frames there
/// are, and their checksums are made right.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrames(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  file.contents = start[0] & 1 == 0 ? bytes : frames(bytes)
  guard let input = try? InputFile(file.path) else { return 0 }
  do {
    try read(FrameReader(input))
  } catch {
    precondition(
      error is FormatError || error is IOFailure || error is NIfTIError,
      "an error of another kind: \(error)")
  }
  return 0
}

/// Frames of a kind, two lengths of two bytes, a header and a body each.
private func frames(_ script: [UInt8]) -> [UInt8] {
  var stream: [UInt8] = []
  var rest = script[...]
  while rest.count >= 5 {
    let parts = Array(rest.prefix(5))
    rest = rest.dropFirst(5)
    let header = rest.prefix(Int(parts.loadLittle(1, as: UInt16.self)))
    rest = rest.dropFirst(header.count)
    let body = rest.prefix(Int(parts.loadLittle(3, as: UInt16.self)))
    rest = rest.dropFirst(body.count)
    var frame = Array("VFRM".utf8) + [1, parts[0], 0, 0]
    frame.appendLittle(UInt32(header.count))
    frame.appendLittle(UInt32(body.count))
    var crc = CRC32()
    (frame + header + body).withUnsafeBytes { crc.update($0) }
    frame.appendLittle(crc.value)
    stream += frame + header + body
  }
  return stream
}

/// Takes everything, and writes the first volume as NIfTI.
private func read(_ reader: FrameReader) throws {
  guard let name = try? NameTemplate("x", folders: .joined) else { return }
  output.becomeStandardOutput()
  let writer = NIfTIWriter(.init(folder: nil, name: name, gzip: nil, replaces: false))
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
  defer { buffer.deallocate() }
  var bytes: UInt64 = 0
  var header: VolumeHeader?
  while let event = try reader.next() {
    switch event {
    case .open(let opened):
      precondition(opened.defect() == nil, "a header that no reader takes")
      header = opened
      bytes = 0
      try writer.open(opened)
    case .extra(let afterVoxels):
      try writer.extra(try reader.readWholeBody(), afterVoxels: afterVoxels)
    case .data:
      while reader.bodyRemaining > 0 {
        let count = try reader.readBody(into: buffer)
        bytes += UInt64(count)
        try writer.data(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
      }
    case .close:
      precondition(bytes == header?.byteCount, "voxels do not fill the shape")
      try writer.close()
    case .drop: writer.drop()
    case .end: break
    }
  }
}

import ByteIO
import NIfTI
import SystemPackage
import Chunks
import Datasets
import Frames

/// Reads a volume and writes it again, as nifti-cat and nifti-write do.
public final class VolumeCheck {
  private let file = MemoryFile()
  private let image = MemoryFile()
  private let output = MemoryFile()

  /// Begins with nothing read.
  public init() {}

  /// What came of a file.
  public struct Outcome {
    /// The volume's header.
    public var header: VolumeHeader
    /// Its voxels, little-endian.
    public var voxels: [UInt8]
    /// What was odd, from the first to the last byte.
    public var quirks: [String]
  }

  /// Reads a single file; whatever is accepted must come back byte for byte.
  ///
  /// - Parameters:
  ///   - bytes: the file.
  ///   - plain: what is in it; nil if it is compressed and nobody knows.
  /// - Returns: nil if the file is refused.
  @discardableResult
  public func single(_ bytes: [UInt8], plain: [UInt8]?) -> Outcome? {
    file.contents = bytes
    guard let source = try? SourcePath(file.path) else { return nil }
    return read(source, plain)
  }

  /// Reads a single file that is not compressed; what looks compressed is for other targets.
  @discardableResult
  public func single(_ bytes: [UInt8]) -> Outcome? {
    if [0x1F, 0x28, 0x50].contains(bytes.first) { return nil }
    return single(bytes, plain: bytes)
  }

  /// Reads a pair.
  public func pair(_ header: [UInt8], _ voxels: [UInt8]) {
    file.contents = header
    image.contents = voxels
    guard var source = try? SourcePath(file.path) else { return }
    source.image = image.path
    read(source, nil)
  }

  @discardableResult
  private func read(_ source: SourcePath, _ plain: [UInt8]?) -> Outcome? {
    var extras: [(bytes: [UInt8], isAfter: Bool)] = []
    var voxels: [UInt8] = []
    let header: VolumeHeader
    var quirks: [String]
    do {
      let file = try NIfTIFile(source)
      header = file.header
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
      defer { buffer.deallocate() }
      var pieces = 0
      let late = try file.pass(
        extra: { extras.append((Array($0), pieces > 0)) },
        data: { fill in
          pieces += 1
          voxels += buffer[..<(try fill(buffer))]
        })
      quirks = (header.quirks ?? []).map(\.string) + late
    } catch {
      precondition(error is NIfTIError || error is IOFailure, "an error of another kind: \(error)")
      return nil
    }
    precondition(header.defect() == nil, "a header that no reader takes")
    precondition(UInt64(voxels.count) == header.byteCount, "voxels do not fill the shape")
    precondition(header.affine?.joined().allSatisfy(\.isFinite) == true, "an affine that is none")
    if let plain {
      precondition(written(header, extras, voxels) == plain, "not the file that was read")
    }
    return Outcome(header: header, voxels: voxels, quirks: quirks)
  }

  private func written(
    _ header: VolumeHeader, _ extras: [(bytes: [UInt8], isAfter: Bool)], _ voxels: [UInt8]
  ) -> [UInt8] {
    guard
      let document = try? JSONDocument(JSON.encode(header.json), in: "frame"),
      let header = try? VolumeHeader(document.root),
      let name = try? NameTemplate("x", folders: .joined)
    else { preconditionFailure("a header that does not survive JSON") }
    output.becomeStandardOutput()
    let writer = NIfTIWriter(.init(folder: nil, name: name, gzip: nil, replaces: false))
    var voxels = voxels
    do {
      try writer.open(header)
      for extra in extras where !extra.isAfter { try writer.extra(extra.bytes, afterVoxels: false) }
      // In two parts, so that a value is cut.
      try voxels.withUnsafeMutableBytes { bytes in
        let cut = min(bytes.count, 3)
        try writer.data(UnsafeMutableRawBufferPointer(rebasing: bytes[..<cut]))
        try writer.data(UnsafeMutableRawBufferPointer(rebasing: bytes[cut...]))
      }
      for extra in extras where extra.isAfter { try writer.extra(extra.bytes, afterVoxels: true) }
      try writer.close()
    } catch {
      preconditionFailure("a volume that was read cannot be written: \(error)")
    }
    return output.contents
  }
}

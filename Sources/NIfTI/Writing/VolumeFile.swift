internal import ByteIO
internal import Frames
internal import SystemPackage

/// A file of a volume, under a temporary name until the volume is whole; or standard output.
final class VolumeFile {
  /// The folder, and the file's names in it; nil for standard output.
  private let place: (folder: OutputFolder, path: FilePath, temporary: String)?
  private let file: OutputFile
  private let stream: OutputStream

  /// Writes to standard output; through gzip at level 1 to 9 if it is given.
  init(gzip: Int?) {
    place = nil
    file = .standardOutput
    stream = OutputStream(file, gzip: gzip)
  }

  /// Makes a file that is to be `path` of `folder`; else as above.
  ///
  /// - Throws: `IOFailure`.
  init(_ path: FilePath, in folder: OutputFolder, gzip: Int?) throws {
    let temporary = OutputFolder.temporaryName(beside: path)
    place = (folder, path, temporary)
    file = try OutputFile(creating: temporary)
    stream = OutputStream(file, gzip: gzip)
  }

  /// Appends bytes of the NIfTI file.
  ///
  /// - Throws: `IOFailure`.
  func write(_ bytes: UnsafeRawBufferPointer) throws { try stream.write(bytes) }

  /// Writes what is still held, flushes the file to disk and closes it.
  ///
  /// - Throws: `IOFailure`.
  func finish() throws {
    try stream.finish()
    if place != nil { try file.sync() }
    try file.close()
  }

  /// Gives the finished file its name.
  ///
  /// - Throws: `NIfTIWriter.Exists` if it cannot have it, by now; `IOFailure`.
  func publish() throws {
    if let (folder, path, temporary) = place { try folder.publish(temporary, as: path) }
  }

  /// Removes the file, unless it has its name already.
  func remove() {
    if let place { try? Publishing.remove(place.temporary) }
  }
}

/// Where the files of volumes go: below a folder, or to standard output.
struct VolumeDestination {
  private let options: NIfTIWriter.Options
  private let folder: OutputFolder?

  init(_ options: NIfTIWriter.Options) {
    self.options = options
    folder = options.folder.map { OutputFolder($0, options) }
  }

  /// Whether a volume may have two files.
  var takesPairs: Bool { folder != nil }

  /// Begins the file of a volume whose name ends in `suffix`.
  ///
  /// - Throws: `NIfTIWriter.Exists` if it cannot have its name; `IOFailure`; what making the name
  ///   throws.
  func begin(_ header: VolumeHeader, _ suffix: String) throws -> VolumeFile {
    guard let folder else { return VolumeFile(gzip: options.gzip) }
    let name = try options.name(header)
    let path = try folder.prepare("\(name)\(suffix)" + (options.gzip == nil ? "" : ".gz"))
    return try VolumeFile(path, in: folder, gzip: options.gzip)
  }
}

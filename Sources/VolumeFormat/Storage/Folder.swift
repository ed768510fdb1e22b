package import ByteIO

/// The calls on a folder that a directory store makes; `Directory` makes them on the file system.
package protocol Folder: AnyObject, Sendable {
  /// What to call a name in messages.
  func place(_ name: String) -> String
  /// The names in it, sorted by their bytes.
  func names() throws -> [String]
  /// What has a name, links not followed; nil if there is nothing.
  func status(_ name: String) throws -> FileStatus?
  /// Opens the folder of a name; `IOFailure` with `isNotFound` if there is none.
  func folder(_ name: String) throws -> any Folder
  /// Makes a folder, for good; false if something has the name.
  func makeDirectory(_ name: String) throws -> Bool
  /// Opens a file to be read.
  func reader(_ name: String) throws -> any FolderInput
  /// Makes a file to be written.
  func writer(_ name: String) throws -> any FolderOutput
  /// Gives a file another name, replacing what has it.
  func rename(_ temporary: String, to name: String) throws
  /// Gives a file another name if nothing has it; false if something has.
  func claim(_ name: String, with temporary: String) throws -> Bool
  /// Whether `claim` can be had.
  func canClaim() throws -> Bool
  /// Removes a file that may be missing.
  func remove(_ name: String) throws
  /// Makes the names in it lasting.
  func sync() throws
  /// A file without a name.
  func scratchFile() throws -> OutputFile?
}

/// A file that a directory store reads.
package protocol FolderInput: AnyObject, Sendable {
  /// What to call it in messages.
  var path: String { get }
  /// Its size if it is a regular file.
  func size() throws -> UInt64?
  /// Fills `buffer` from byte `offset`; how many bytes there were.
  func take(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int
  /// Appends `count` bytes from byte `offset` on to a file.
  func copy(_ count: UInt64, at offset: UInt64, to file: OutputFile) throws
}

/// A file that a directory store writes.
package protocol FolderOutput: AnyObject {
  /// Adds bytes to its end.
  func add(_ bytes: UnsafeRawBufferPointer) throws
  /// Cuts it to `size` bytes.
  func cut(to size: UInt64) throws
  /// Makes its bytes lasting, and closes it.
  func seal() throws
  /// Closes it.
  func shut() throws
}

extension Directory: Folder {
  package func folder(_ name: String) throws -> any Folder { try Directory(name, in: self) }
  package func reader(_ name: String) throws -> any FolderInput { try open(name) }
  package func writer(_ name: String) throws -> any FolderOutput { try create(name) }
  package func scratchFile() throws -> OutputFile? { try scratch() }
}

extension InputFile: FolderInput {
  package func take(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws -> Int { try read(at: offset, into: buffer) }

  package func copy(_ count: UInt64, at offset: UInt64, to file: OutputFile) throws {
    try file.copy(count, from: self, at: offset)
  }
}

extension OutputFile: FolderOutput {
  package func add(_ bytes: UnsafeRawBufferPointer) throws { try write(bytes) }
  package func cut(to size: UInt64) throws { try truncate(to: size) }
  package func seal() throws {
    try sync()
    try close()
  }
  package func shut() throws { try close() }
}

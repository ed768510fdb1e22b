package import ByteIO

/// Where the objects of a dataset are: the one seam between what a dataset is and what holds it.
///
/// An object has a name and bytes, and is whole or not there. Calls block; any number of threads and
/// processes may make them at once. What one call has done, every later call of anybody sees,
/// unless it says otherwise: a store whose listings lag behind cannot hold a dataset.
///
/// A call that throws may have done its work for all that, where a reply was lost: what it says
/// below then is what may be.
package protocol Store: AnyObject, Sendable {
  /// What to call it in messages and references: a path or a URL, without a slash at its end.
  var location: String { get }

  // MARK: Reading

  /// Reads an object whole.
  ///
  /// - Parameters:
  ///   - name: which.
  ///   - maximum: the most bytes that it may have.
  /// - Returns: its bytes; nil if there is none.
  /// - Throws: `FormatError` if it is longer, or is no object but something in its place; `IOFailure`.
  func read(_ name: ObjectName, maximum: Int) throws -> [UInt8]?

  /// Opens an object, which stays readable while it is open, even if it is removed.
  ///
  /// - Parameters:
  ///   - name: which.
  ///   - bytes: the size that it must have; nil if any will do.
  /// - Returns: the object.
  /// - Throws: `FormatError` if it has another, or is no object but something in its place;
  ///   `IOFailure`, with `isNotFound` if there is none.
  func open(_ name: ObjectName, bytes: UInt64?) throws -> any ObjectReader

  // MARK: Listing

  /// The names in a folder, sorted by their bytes, of what is finished; none if there is no folder.
  /// Of nil, the names beside the folders, and those of the folders.
  ///
  /// What is made or removed while it is listed may be among them or not; all else is right.
  ///
  /// - Throws: `IOFailure`.
  func names(in folder: String?) throws -> [String]

  /// The objects in a folder, or beside the folders if nil, with their sizes; else as `names`.
  ///
  /// An object that is just being written may be among them with a part of its bytes.
  ///
  /// - Throws: `IOFailure`.
  func list(_ folder: String?) throws -> [StoredObject]

  // MARK: Writing

  /// Makes folders where a store has such, so that whoever makes the dataset owns them.
  ///
  /// - Throws: `IOFailure`.
  func prepare(_ folders: [String]) throws

  /// Begins an object with a name that nothing has and nobody else uses.
  ///
  /// Nobody may rely on it before it is finished, but it may be seen.
  ///
  /// - Throws: `IOFailure`, with `fileExists` if something has the name.
  func write(_ name: ObjectName) throws -> any ObjectWriter

  /// Makes an object in one step if nothing has its name: of all who try, one makes it.
  ///
  /// - Throws: `IOFailure`; there is no such object of this call then.
  func create(_ name: ObjectName, _ bytes: [UInt8]) throws -> Creation

  /// Whether `create` can be had in a folder, to be asked before there is work to lose.
  ///
  /// - Throws: `IOFailure` if nothing at all can be made there.
  func canCreate(in folder: String?) throws -> Bool

  /// Makes an object, or puts other bytes in the place of those that it had, in one step: everybody
  /// sees the old or the new ones. They are lasting when it returns.
  ///
  /// - Throws: `IOFailure`; the object is as it was or as it should be then.
  func replace(_ name: ObjectName, _ bytes: [UInt8]) throws

  /// The same with the bytes of an object of this or another store, of any length.
  ///
  /// - Throws: `IOFailure`; the object is as it was or as it should be then.
  func replace(_ name: ObjectName, with source: any ObjectReader) throws

  /// Makes an object, or makes it anew, so that it was just modified; it need not outlast a crash.
  ///
  /// - Throws: `IOFailure`; the object is as it was or as it should be then.
  func touch(_ name: ObjectName, _ bytes: [UInt8]) throws

  /// Removes objects; one that is not there is no failure. After a crash they may be there again,
  /// unless `flushRemovals` followed.
  ///
  /// - Throws: `IOFailure` for the first that could not be removed; the others are removed.
  func remove(_ names: [ObjectName]) throws

  /// Makes lasting what was removed from a folder.
  ///
  /// - Throws: `IOFailure`.
  func flushRemovals(in folder: String) throws

  // MARK: Housekeeping

  /// What calls that were cut off have left and no listing shows, and was last touched before a time
  /// by the store's clock.
  ///
  /// - Throws: `IOFailure`.
  func unfinished(before: Double) throws -> [StoredObject]

  /// The time by the store's own clock, by which `StoredObject.modified` is, to the second: seconds
  /// since 1970.
  ///
  /// - Throws: `IOFailure`.
  func now() throws -> Double

  /// A file for this process alone that goes with it, of any size; nil where the store has no room
  /// for such.
  ///
  /// - Throws: `IOFailure`.
  func scratch() throws -> OutputFile?
}

/// What came of `Store.create`.
package enum Creation {
  /// The object is made, and lasting.
  case made
  /// Something has the name, perhaps of this very call, whose first reply was lost.
  case exists
  /// It is made, and may be gone after a crash.
  case unflushed(any Error)
  /// Nobody knows whether it was or still will be made.
  case unsure(any Error)
}

/// An object as a listing shows it.
package struct StoredObject: Sendable, Equatable {
  /// Its name.
  package var name: ObjectName
  /// Its size.
  package var bytes: UInt64
  /// When it was last written, by the store's clock: seconds since 1970.
  package var modified: Double

  /// Describes an object.
  package init(name: ObjectName, bytes: UInt64, modified: Double) {
    self.name = name
    self.bytes = bytes
    self.modified = modified
  }
}

/// An object that is open for reading, from any thread.
package protocol ObjectReader: AnyObject, Sendable {
  /// What to call it in messages.
  var path: String { get }
  /// Its size.
  var bytes: UInt64 { get }
  /// Fills `buffer` from byte `offset` as far as there are bytes.
  ///
  /// - Returns: the number of bytes, less than there is room for only at the end.
  /// - Throws: `IOFailure`.
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int
  /// Reads the last `count` bytes, or all if there are fewer.
  ///
  /// - Throws: `IOFailure`.
  func readEnd(_ count: Int) throws -> [UInt8]
  /// Appends `count` bytes from byte `offset` on to a file; where the system can, they are shared and
  /// not copied.
  ///
  /// - Throws: `IOFailure`, also where it has fewer.
  func copy(_ count: UInt64, at offset: UInt64, to file: OutputFile) throws
}

extension ObjectReader {
  /// Visits its bytes in order, in parts of at most 1 MiB.
  ///
  /// - Throws: `IOFailure`, also where it ends before its size; what `body` throws.
  package func forEachPart(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    try forEachPart(of: 0..<bytes, body)
  }

  private func forEachPart(
    of range: Range<UInt64>, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { room.deallocate() }
    var offset = range.lowerBound
    while offset < range.upperBound {
      let wanted = Int(min(UInt64(room.count), range.upperBound - offset))
      let count = try read(at: offset, into: .init(rebasing: room[..<wanted]))
      guard count > 0 else { throw IOFailure(.transfer, "read to its end", path, .ioError) }
      try body(UnsafeRawBufferPointer(rebasing: room[..<count]))
      offset += UInt64(count)
    }
  }

  package func copy(_ count: UInt64, at offset: UInt64, to file: OutputFile) throws {
    try forEachPart(of: offset..<offset + count) { try file.write($0) }
  }

  package func readEnd(_ count: Int) throws -> [UInt8] {
    let wanted = Int(min(UInt64(count), bytes))
    var end = [UInt8](repeating: 0, count: wanted)
    let taken = try end.withUnsafeMutableBytes { try read(at: bytes - UInt64(wanted), into: $0) }
    return Array(end[..<taken])
  }
}

/// An object that is being written, by one thread at a time.
package protocol ObjectWriter: AnyObject {
  /// What to call it in messages.
  var path: String { get }
  /// Bytes so far.
  var offset: UInt64 { get }
  /// Adds bytes to its end.
  ///
  /// - Throws: `IOFailure`; it can only be aborted then.
  func append(_ bytes: UnsafeRawBufferPointer) throws
  /// Takes back what lies behind byte `offset`, where the store can.
  ///
  /// - Returns: false if it stays.
  /// - Throws: `IOFailure`; it can only be aborted then.
  func takeBack(to offset: UInt64) throws -> Bool
  /// Opens what was written so far, where the store can; else nil.
  ///
  /// - Throws: `IOFailure`.
  func reader() throws -> (any ObjectReader)?
  /// Makes the object whole, visible and lasting.
  ///
  /// - Throws: `IOFailure`; it can only be aborted then.
  func finish() throws
  /// Removes what was written, finished or not, as far as that is possible.
  func abort()
}

import ByteIO
import Glibc
import SystemPackage

/// A file in memory, with a path by which it can be opened.
public final class MemoryFile {
  private let descriptor: Int32

  /// An empty file.
  public init() {
    var name = Array("/dev/shm/volpipe-fuzz-XXXXXX".utf8CString)
    descriptor = mkstemp(&name)
    precondition(descriptor >= 0 && unlink(name) == 0, "no file in memory")
  }

  deinit { close(descriptor) }

  /// Leads to the file as long as this object lives.
  public var path: FilePath { FilePath("/proc/self/fd/\(descriptor)") }

  /// What is in it.
  public var contents: [UInt8] {
    get {
      let size = Int(lseek(descriptor, 0, SEEK_END))
      return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        count = pread(descriptor, buffer.baseAddress, size, 0)
      }
    }
    set {
      precondition(ftruncate(descriptor, 0) == 0)
      precondition(pwrite(descriptor, newValue, newValue.count, 0) == newValue.count)
    }
  }

  /// Makes it standard output, from its beginning.
  public func becomeStandardOutput() {
    precondition(ftruncate(descriptor, 0) == 0 && lseek(descriptor, 0, SEEK_SET) == 0)
    precondition(dup2(descriptor, 1) == 1)
  }
}

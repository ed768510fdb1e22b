import ByteIO
import FuzzSupport
import Chunks
import Datasets
import Frames

nonisolated(unsafe) private let file = MemoryFile()

/// Any bytes as a table: every line has a field a column, and numbers only grow.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTable(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  file.contents = Array(UnsafeBufferPointer(start: start, count: count))
  guard let input = try? InputFile(file.path), var reader = try? TableReader(input) else {
    return 0
  }
  var last = 0
  var errors = 0
  while true {
    do {
      guard let line = try reader.next() else { return 0 }
      precondition(line.fields.count == reader.names.count, "fields without a column")
      precondition(line.number > last, "line numbers that do not grow")
      last = line.number
    } catch {
      precondition(error is FormatError, "an error of another kind: \(error)")
      errors += 1
      precondition(errors <= count, "an error that does not end")
    }
  }
}

import ByteIO
import FuzzSupport
import Chunks
import Datasets
import Frames

/// Any bytes as a document: what is read is written so that it reads the same, and no other bytes
/// come of that.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let (value, _) = try? JSON.parse(bytes, in: "input") else { return 0 }
  let text = JSON.encode(value)
  guard let (again, repeated) = try? JSON.parse(text, in: "output") else {
    preconditionFailure("what was written cannot be read")
  }
  precondition(repeated.isEmpty && again == value, "it reads otherwise")
  precondition(JSON.encode(again) == text, "it is written otherwise")
  let line = String(decoding: text, as: UTF8.self).unicodeScalars
  precondition(!line.contains(where: UnsafeScalars.mustShow), "a terminal would act on it")
  guard let (pretty, _) = try? JSON.parse(JSON.encode(value, pretty: true), in: "pretty") else {
    preconditionFailure("what was written in lines cannot be read")
  }
  precondition(pretty == value, "in lines it reads otherwise")
  return 0
}

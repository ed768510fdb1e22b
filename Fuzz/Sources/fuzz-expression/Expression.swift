import ByteIO
import FuzzSupport
import Chunks
import Datasets
import Frames

/// A header with texts on which a regular expression may work hard.
private let header = {
  var header = VolumeHeader(name: "sub-01_T1w", shape: [4, 5, 6], dtype: .int16)
  header.sourceDescription = ExactString(String(repeating: "aT1", count: 200) + "!")
  header.attributes = ["ses": .text("2"), "list": .array([.integer(1), .null, .text("x")])]
  return header
}()

/// Any bytes as the expression of a filter: it is refused, or tells in bounded time.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzExpression(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = UnsafeBufferPointer(start: start, count: count)
  guard let text = String(validating: bytes, as: UTF8.self),
    let expression = try? HeaderExpression(text)
  else { return 0 }
  _ = try? expression.holds(header)
  return 0
}

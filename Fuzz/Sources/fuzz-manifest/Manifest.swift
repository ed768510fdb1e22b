import ByteIO
import FuzzSupport
import Chunks
import Datasets
import Frames

nonisolated(unsafe) private let dataset = required { try MemoryDataset() }

/// Bytes as a manifest, sealed with the right digest, and as the record of a stage.
///
/// `DATASET` and `STAGE` in them stand for the ids.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzManifest(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard let opened = try? Dataset(opening: dataset.path) else { return 0 }
  var bytes = Array(UnsafeBufferPointer(start: start, count: count))
  bytes = replacing(bytes, "DATASET", opened.id)
  bytes = sealed(replacing(bytes, "STAGE", dataset.stage.stage))
  dataset.replace("manifests/0000000001.json", bytes)
  dataset.readAll()
  dataset.replace("stages/\(dataset.stage.stage).json", bytes)
  for error in required({ try opened.pending(besides: nil) }).damage {
    precondition(error is FormatError || error is IOFailure, "an error of another kind: \(error)")
  }
  return 0
}

private func replacing(_ bytes: [UInt8], _ name: String, _ value: String) -> [UInt8] {
  var result: [UInt8] = []
  var rest = bytes[...]
  while !rest.isEmpty {
    if rest.starts(with: name.utf8) {
      result += Array(value.utf8)
      rest = rest.dropFirst(name.utf8.count)
    } else {
      result.append(rest.removeFirst())
    }
  }
  return result
}

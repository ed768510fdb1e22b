public import ArgumentParser
public import ByteIO
public import Chunks
public import Datasets
internal import ToolSupport

extension ChunkShape: ExpressibleByArgument {
  /// Reads a chunk shape.
  public init?(argument: String) { self.init(argument) }
}

extension Region: ExpressibleByArgument {
  /// Reads a region.
  public init?(argument: String) { self.init(argument) }
}

extension Snapshot {
  /// Checks that a collection exists.
  ///
  /// - Throws: `ToolFailure` with the names that do.
  public func requireCollection(_ name: ExactString) throws {
    if manifest.collections[name] != nil { return }
    let names = bounded(
      manifest.collections.keys.sorted().map(\.string).joined(separator: ", "), 500)
    throw ToolFailure(
      .noInput, "no collection '\(name)' in '\(dataset.path)'; there is: \(names)")
  }
}

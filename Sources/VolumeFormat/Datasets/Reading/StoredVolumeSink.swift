public import Frames

/// A sink that wants to know where a volume is stored, too.
public protocol StoredVolumeSink: VolumeSink {
  /// Begins a volume; called in place of `VolumeSink.open`.
  ///
  /// - Throws: why it cannot begin.
  func open(_ header: VolumeHeader, _ record: CatalogRecord, of stage: Stage) throws
}

extension StoredVolumeSink {
  /// Not called: a stored volume comes with its record.
  public func open(_ header: VolumeHeader) throws {
    preconditionFailure("a stored volume comes with its record")
  }
}

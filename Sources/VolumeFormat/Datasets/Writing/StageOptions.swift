public import Chunks
public import Frames
public import ByteIO

/// How a stage is to be written.
public struct StageOptions: Sendable {
  /// The chunk shape asked for.
  public var chunk = ChunkShape.automatic
  /// Zstandard level, 1 to 19.
  public var level = 1
  /// Whether bytes are shuffled before compression.
  public var shuffle = true
  /// Threads that compress; the output does not depend on it.
  public var jobs = 1
  /// A pack of this size or more is not added to.
  public var packSize: UInt64 = 4 << 30
  /// Larger slabs go through a scratch file; see `SlabLimit`.
  public var slabLimit = SlabLimit.standard
  /// Makes the ids; by default `NameTemplate.defaultObsID`.
  public var obsID: NameTemplate?
  /// What becomes of a volume whose id the dataset holds already.
  public var existing = Existing.refuse
  /// Tells why a volume is not to be staged, nil if it may be.
  public var objection: @Sendable (VolumeHeader) -> String? = { _ in nil }
  /// Knows the files until the stages are finished.
  public var unfinished = UnfinishedObjects()
  /// Program and version, for the stage record.
  public var tool = "volpipe"

  /// Which collection a volume goes into.
  public enum Destination: Sendable {
    /// This one.
    case collection(ExactString)
    /// The one that is made from its header.
    case template(NameTemplate)

    /// The collection of a volume, any name.
    func collection(of header: VolumeHeader) throws(FormatError) -> ExactString {
      switch self {
      case .collection(let name): name
      case .template(let template): try template.name(of: header)
      }
    }
  }

  /// What becomes of a volume whose id the dataset holds already.
  public enum Existing: Sendable {
    /// It ends the run.
    case refuse
    /// It is left out if it is the same, and ends the run if not.
    case skip
    /// It is left out if it is the same, and takes the other's place if not.
    case replace
  }

  /// The defaults.
  public init() {}
}

/// What became of a stream.
public struct StageSummary: Sendable {
  /// The finished stages, one for each collection; none if the stream held no volume.
  public var stages: [Stage] = []
  /// Volumes that the producer took back.
  public var dropped: UInt64 = 0
  /// Sources that the producer gave up before they began.
  public var skipped: UInt64 = 0
  /// Volumes that could not come in.
  public var refused: UInt64 = 0
  /// Why records of what is staged could not be read, whose volumes were not compared.
  public var unread: [any Error] = []
  /// Volumes that were there already.
  public var existing: UInt64 = 0
  /// Those of them that have another subject or other attributes there.
  public var otherAttributes: UInt64 = 0
}

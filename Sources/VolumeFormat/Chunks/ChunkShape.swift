internal import Frames

/// The chunk shape that a user asks for, before a volume's shape is known.
public enum ChunkShape: Sendable, Equatable, CustomStringConvertible {
  /// About 16,384 voxels: 32 along X and Y, 16 along Z, where the volume has them.
  case automatic
  /// 64 along X, Y and Z.
  case isotropic
  /// One plane of whole X and Y.
  case axial
  /// One plane of whole X and Z.
  case coronal
  /// One plane of whole Y and Z.
  case sagittal
  /// Voxels along the first axes.
  case voxels([Int])

  /// Voxels that an automatic chunk grows to.
  static let automaticVoxels = 16_384

  /// Reads `auto`, the name of a plane, or `X,Y,Z[,T]`; nil if it is none of these.
  public init?(_ text: String) {
    switch text {
    case "auto": self = .automatic
    case "isotropic": self = .isotropic
    case "axial": self = .axial
    case "coronal": self = .coronal
    case "sagittal": self = .sagittal
    default:
      let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
      let extents = parts.compactMap { $0 }
      guard extents.count == parts.count, (1...VolumeHeader.maximumAxes).contains(extents.count),
        extents.allSatisfy({ $0 >= 1 })
      else { return nil }
      self = .voxels(extents)
    }
  }

  /// As it is written on a command line.
  public var description: String {
    switch self {
    case .automatic: "auto"
    case .isotropic: "isotropic"
    case .axial: "axial"
    case .coronal: "coronal"
    case .sagittal: "sagittal"
    case .voxels(let extents): extents.map(String.init).joined(separator: ",")
    }
  }

  /// The chunk shape of a volume of `shape`: no axis longer than the volume's.
  public func resolve(_ shape: [Int]) -> [Int] {
    let whole = Int.max
    let asked: [Int] =
      switch self {
      case .automatic: [32, 32, 16]
      case .isotropic: [64, 64, 64]
      case .axial: [whole, whole, 1]
      case .coronal: [whole, 1, whole]
      case .sagittal: [1, whole, whole]
      case .voxels(let extents): extents
      }
    var chunk = shape.indices.map { min(shape[$0], $0 < asked.count ? asked[$0] : 1) }
    if self == .automatic { Self.grow(&chunk, within: shape) }
    return chunk
  }

  /// Lengthens a chunk that is thin along some axis, X first, until it has enough voxels.
  private static func grow(_ chunk: inout [Int], within shape: [Int]) {
    for axis in shape.indices {
      let others = chunk.indices.reduce(1) { $1 == axis ? $0 : $0 * chunk[$1] }
      let room = automaticVoxels / others
      chunk[axis] = min(shape[axis], max(chunk[axis], room))
    }
  }
}

internal import ByteIO
internal import Frames

/// A part of a volume as a user asks for it, before the volume's shape is known.
public struct Region: Sendable, Equatable {
  /// What is wanted along one axis.
  public enum Slice: Sendable, Equatable {
    /// From a voxel to the one before another, as in Python: negative numbers count from the end,
    /// nil is the volume's own end, and what lies outside is left out.
    case range(Int?, Int?)
    /// One voxel, which must be there; negative numbers count from the end.
    case index(Int)

    /// All along the axis.
    public static let all = Slice.range(nil, nil)
  }

  /// Why a volume has no such region.
  public struct Mismatch: Error {
    /// The reason.
    public var reason: String
  }

  /// Along X, Y, Z and so on; axes behind the last are whole.
  public var slices: [Slice]

  /// Makes a region.
  public init(_ slices: [Slice] = []) { self.slices = slices }

  /// Reads `x0:x1,y0:y1,z0:z1[,t0:t1]`, of which any number may be missing, and `n` means the one
  /// voxel `n`; nil if it is something else.
  public init?(_ text: some StringProtocol) {
    slices = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: ":", omittingEmptySubsequences: false)
      let numbers = ends.map { $0.isEmpty ? nil : Int($0) }
      guard ends.count <= 2, zip(ends, numbers).allSatisfy({ $0.isEmpty || $1 != nil }) else {
        return nil
      }
      if ends.count == 2 {
        slices.append(.range(numbers[0], numbers[1]))
      } else if let index = numbers[0] {
        slices.append(.index(index))
      } else {
        return nil
      }
    }
    guard slices.count <= VolumeHeader.maximumAxes else { return nil }
  }

  /// Sets the slice along `axis`, counted from 0; false if one was set there before.
  public mutating func set(_ axis: Int, _ slice: Slice) -> Bool {
    while slices.count <= axis { slices.append(.all) }
    guard slices[axis] == .all else { return false }
    slices[axis] = slice
    return true
  }

  /// The voxels that this means in a volume of `shape`.
  ///
  /// - Returns: along each axis those from 0; no range is empty.
  /// - Throws: `Mismatch` if it has no such part.
  public func resolve(_ shape: [Int]) throws(Mismatch) -> [Range<Int>] {
    guard slices.count <= shape.count else {
      throw Mismatch(reason: "it has \(shape.count) axes, the region \(slices.count)")
    }
    var result: [Range<Int>] = []
    for (axis, extent) in shape.enumerated() {
      let place: (Int) -> Int = { $0 < 0 ? max(0, $0.addingReportingOverflow(extent).0) : $0 }
      switch axis < slices.count ? slices[axis] : .all {
      case .range(let start, let end):
        let first = min(extent, start.map(place) ?? 0)
        let last = min(extent, end.map(place) ?? extent)
        guard first < last else {
          throw Mismatch(
            reason: "the region holds no voxel of it: axis \(axis) has \(extent)")
        }
        result.append(first..<last)
      case .index(let index):
        guard (-extent..<extent).contains(index) else {
          throw Mismatch(reason: "it has no \(index) along axis \(axis), but \(extent) voxels")
        }
        result.append(place(index)..<place(index) + 1)
      }
    }
    return result
  }
}

/// A region cut into parts that follow each other in the order of its voxels.
struct RegionParts {
  private let ranges: [Range<Int>]
  /// The axis along which it is cut; below it parts have all, above it one voxel.
  private let axis: Int
  private let thickness: Int
  /// Number of parts.
  let count: Int

  /// Cuts `ranges` into parts of at most `maximumBytes`, or of one voxel.
  init(_ ranges: [Range<Int>], voxelBytes: Int, maximumBytes: Int) {
    self.ranges = ranges
    var axis = 0
    var layer = voxelBytes
    while axis + 1 < ranges.count, layer * ranges[axis].count <= maximumBytes {
      layer *= ranges[axis].count
      axis += 1
    }
    self.axis = axis
    thickness = max(1, maximumBytes / layer)
    count =
      (ranges[axis].count + thickness - 1) / thickness
      * ranges[(axis + 1)...].reduce(1) { $0 * $1.count }
  }

  /// Part `number`, from 0.
  subscript(number: Int) -> [Range<Int>] {
    let along = (ranges[axis].count + thickness - 1) / thickness
    var result = ranges
    let first = ranges[axis].lowerBound + number % along * thickness
    result[axis] = first..<min(ranges[axis].upperBound, first + thickness)
    var rest = number / along
    for higher in (axis + 1)..<max(axis + 1, ranges.count) {
      let place = ranges[higher].lowerBound + rest % ranges[higher].count
      result[higher] = place..<place + 1
      rest /= ranges[higher].count
    }
    return result
  }
}

extension VolumeHeader {
  /// The header of a part of this volume.
  ///
  /// Voxel i of the part is voxel i + s of the volume, and so the affine A of the part maps 0 to
  /// what that of the volume maps s to: its last column is A s. The source's header no longer
  /// describes the volume, and becomes the template of one that does.
  func window(_ ranges: [Range<Int>]) -> VolumeHeader {
    func moved(_ matrix: [[Double]]?) -> [[Double]]? {
      matrix.map { rows in
        guard rows.count == 4, rows.allSatisfy({ $0.count == 4 }) else { return rows }
        return rows.enumerated().map { number, row in
          guard number < 3 else { return row }
          var row = row
          for axis in 0..<min(3, ranges.count) {
            row[3] += row[axis] * Double(ranges[axis].lowerBound)
          }
          return row
        }
      }
    }
    var result = self
    result.shape = ranges.map(\.count)
    result.affine = moved(affine)
    result.qform = moved(qform)
    result.sform = moved(sform)
    result.source?.template = source?.header ?? source?.template
    result.source?.header = nil
    result.source?.headerBytes = nil
    return result
  }
}

import ByteIO
import DatasetSupport
import Datasets
import Frames

/// Where arrays lie in space, which their files do not say.
struct ArrayGeometry {
  private enum Origin {
    case affine([[Double]]?)
    case volumes(Snapshot, ExactString)
  }

  private let origin: Origin

  /// All arrays have this affine, or none.
  init(affine: [[Double]]?) { origin = .affine(affine) }

  /// Each array is like the volume of its name in a collection.
  init(like snapshot: Snapshot, _ collection: ExactString) {
    origin = .volumes(snapshot, collection)
  }

  /// Puts into the header of an array what is known of it.
  ///
  /// A volume gives its affine, spacing, units and subject, and its attributes but those that are of
  /// the scan alone: suffix and sidecar.
  ///
  /// - Throws: `FormatError` if there is no volume of its name, or one of another shape in space;
  ///   `IOFailure`.
  func give(to header: inout VolumeHeader) throws {
    switch origin {
    case .affine(let affine):
      header.affine = affine
      header.voxelSpacing = affine.map { rows in
        (0..<3).map { column in
          (0..<3).reduce(0) { $0 + rows[$1][column] * rows[$1][column] }.squareRoot()
        }
      }
    case .volumes(let snapshot, let collection):
      let name = header.name ?? ""
      let volume = try snapshot.header(ofVolume: name, collection)
      func extents(_ shape: [Int]) -> [Int] {
        Array((shape + [1, 1, 1]).prefix(3))
      }
      guard extents(volume.shape) == extents(header.shape) else {
        throw FormatError(
          name.string,
          "its shape \(header.shape) is not that of volume '\(volume.label)', \(volume.shape); "
            + "--zyx turns axes round")
      }
      header.affine = volume.affine
      header.affineSource = volume.affineSource
      (header.qform, header.qformCode) = (volume.qform, volume.qformCode)
      (header.sform, header.sformCode) = (volume.sform, volume.sformCode)
      header.voxelSpacing = volume.voxelSpacing
      header.units = volume.units
      header.obsSubjectID = volume.obsSubjectID
      var attributes = volume.attributes ?? JSONObject()
      attributes["suffix"] = nil
      attributes["sidecar"] = nil
      attributes.merge(header.attributes ?? JSONObject())
      header.attributes = attributes.isEmpty ? nil : attributes
    }
  }
}

extension Snapshot {
  /// The header of the volume whose id is `name`, or `name` and `_COLLECTION`.
  fileprivate func header(
    ofVolume name: ExactString, _ collection: ExactString
  ) throws -> VolumeHeader {
    for id in [name, ExactString("\(name)_\(collection)")] {
      if let (stage, record) = try volume(id, collection: collection) {
        return try record.header(in: dataset.name(of: stage.catalog))
      }
    }
    throw FormatError(
      name.string, "collection '\(collection)' has no volume of this name, nor with _\(collection)")
  }
}

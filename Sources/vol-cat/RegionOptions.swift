import ArgumentParser
import Datasets
import Frames

/// The part of each volume that is wanted.
struct RegionOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Only these voxels: X0:X1,Y0:Y1,Z0:Z1[,T0:T1], from 0 and each end left out, as in Python.",
      valueName: "region"))
  var roi: Region?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Only plane K along Z.", valueName: "k"))
  var axial: Int?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Only plane K along Y.", valueName: "k"))
  var coronal: Int?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Only plane K along X.", valueName: "k"))
  var sagittal: Int?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Only volume K along T.", valueName: "k"))
  var time: Int?

  /// Whether it is not simply all.
  var isGiven: Bool { roi != nil || [axial, coronal, sagittal, time].contains { $0 != nil } }

  /// All of them together.
  ///
  /// - Throws: `ValidationError` if two are about the same axis.
  func region() throws -> Region {
    var result = roi ?? Region()
    for (axis, name, index) in [
      (0, "sagittal", sagittal), (1, "coronal", coronal), (2, "axial", axial), (3, "time", time),
    ] {
      if let index, !result.set(axis, .index(index)) {
        throw ValidationError("--roi says already what is wanted along the axis of --\(name)")
      }
    }
    return result
  }

  func validate() throws { _ = try region() }
}

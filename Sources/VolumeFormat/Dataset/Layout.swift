/// The paths inside a dataset; see vol-dataset(5).
enum Layout {
  static let marker = "volpipe.json"
  static let head = "HEAD"
  static let manifests = "manifests"
  static let packs = "packs"
  static let catalogs = "catalogs"
  static let stages = "stages"

  /// The last number of ten digits.
  static let maximumSnapshot: UInt64 = 9_999_999_999

  static func manifest(_ number: UInt64) -> String {
    let digits = String(number)
    return "\(manifests)/" + String(repeating: "0", count: max(0, 10 - digits.count)) + digits
      + ".json"
  }

  static func pack(_ stage: String, _ number: Int) -> String {
    let digits = String(number)
    return "\(packs)/\(stage)-" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
      + ".pack"
  }

  static func catalog(_ stage: String) -> String { "\(catalogs)/\(stage).catalog" }

  static func stage(_ stage: String) -> String { "\(stages)/\(stage).json" }

  /// A name that no published file has, for one that is not finished.
  static func temporary(_ directory: String, _ name: String) -> String { "\(directory)/.\(name)" }

  /// The number of a manifest's file name, or nil.
  static func manifestNumber(_ name: String) -> UInt64? {
    guard name.hasSuffix(".json"), let number = UInt64(name.dropLast(5)),
      (1...maximumSnapshot).contains(number),
      manifest(number) == "\(manifests)/\(name)"
    else { return nil }
    return number
  }

  /// The stage of a record's file name, or nil.
  static func stageID(_ name: String) -> String? {
    let id = String(name.dropLast(5))
    return name.hasSuffix(".json") && Names.isHexadecimal(id, count: 32) ? id : nil
  }
}

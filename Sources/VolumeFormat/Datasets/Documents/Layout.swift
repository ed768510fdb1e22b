internal import ByteIO
internal import Frames

/// The paths inside a dataset; see vol-dataset(5).
enum Layout {
  static let marker = "volpipe.json"
  static let head = "HEAD"
  static let manifests = "manifests"
  static let packs = "packs"
  static let catalogs = "catalogs"
  static let stages = "stages"
  static let subjects = "subjects"

  /// The directories of a dataset.
  static let directories = [manifests, packs, catalogs, subjects, stages]

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

  /// The path of a catalog of `stage` from which volumes were removed.
  static func revision(_ revision: String, of stage: String) -> String {
    "\(catalogs)/\(stage)-\(revision).catalog"
  }

  /// Whether `path` is that of a revised catalog of `stage`.
  static func isRevision(_ path: String, of stage: String) -> Bool {
    let revision = String(path.dropFirst(catalogs.utf8.count + 34).prefix(32))
    return Names.isHexadecimal(revision, count: 32) && path == self.revision(revision, of: stage)
  }

  /// The path of a subject table.
  static func subjects(_ table: String) -> String { "\(subjects)/\(table).subjects" }

  /// Whether `path` is that of a subject table.
  static func isSubjects(_ path: String) -> Bool {
    let table = String(path.dropFirst(subjects.utf8.count + 1).prefix(32))
    return Names.isHexadecimal(table, count: 32) && path == subjects(table)
  }

  /// The path of the record of what is staged.
  static func record(_ id: String, _ ending: String) -> String { "\(stages)/\(id)\(ending)" }

  /// The id in a record's file name, or nil if it has another ending.
  static func recordID(_ name: String, _ ending: String) -> String? {
    let id = String(name.prefix(32))
    return Names.isHexadecimal(id, count: 32) && name == id + ending ? id : nil
  }

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

  /// What a file belongs to that may be left over: the stage of a pack, of a catalog or of a revised
  /// one, the id of a table, or of a file that was not finished its own path; nil for all others.
  static func owner(of path: String) -> String? {
    let parts = path.split(separator: "/", maxSplits: 1).map(String.init)
    let name = parts[parts.count - 1]
    let directory = parts.count == 2 ? parts[0] : ""
    let id = String(name.prefix(32))
    let isID = Names.isHexadecimal(id, count: 32)
    switch directory {
    case packs:
      let digits = name.dropFirst(33).prefix { $0.isNumber }
      guard isID, let number = Int(digits) else { break }
      return path == pack(id, number) ? id : nil
    case catalogs where isID:
      return path == catalog(id) || isRevision(path, of: id) ? id : nil
    case subjects where isID: return path == subjects(id) ? id : nil
    default: break
    }
    guard name.hasPrefix(".") else { return nil }
    let rest = name.dropFirst()
    let wanted = directory.isEmpty ? ["HEAD-", "volpipe-"] : [""]
    for prefix in wanted where rest.hasPrefix(prefix) {
      // A temporary name is made of one random id, or of a stage and one.
      let ids = rest.dropFirst(prefix.count).split(separator: "-").map(String.init)
      if (1...2).contains(ids.count), ids.allSatisfy({ Names.isHexadecimal($0, count: 32) }) {
        return path
      }
    }
    return nil
  }
}

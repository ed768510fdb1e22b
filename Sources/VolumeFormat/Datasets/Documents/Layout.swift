internal import ByteIO
internal import Frames
internal import Storage

/// The names inside a dataset; see vol-dataset(5).
enum Layout {
  static let marker = name(nil, "volpipe.json")
  static let head = name(nil, "HEAD")
  static let manifests = "manifests"
  static let packs = "packs"
  static let catalogs = "catalogs"
  static let stages = "stages"
  static let subjects = "subjects"
  static let leases = "leases"

  /// The folders of a dataset.
  static let folders = [manifests, packs, catalogs, subjects, stages, leases]

  /// The last number of ten digits.
  static let maximumSnapshot: UInt64 = 9_999_999_999

  static func manifest(_ number: UInt64) -> ObjectName {
    name(manifests, "\(padded(number, 10)).json")
  }

  static func pack(_ stage: String, _ number: Int) -> ObjectName {
    name(packs, "\(stage)-\(padded(UInt64(number), 4)).pack")
  }

  static func catalog(_ stage: String) -> ObjectName { name(catalogs, "\(stage).catalog") }

  /// The name of a catalog of `stage` from which volumes were removed.
  static func revision(_ revision: String, of stage: String) -> ObjectName {
    name(catalogs, "\(stage)-\(revision).catalog")
  }

  /// Whether `name` is that of a revised catalog of `stage`.
  static func isRevision(_ name: ObjectName, of stage: String) -> Bool {
    let revision = String(name.file.dropFirst(33).prefix(32))
    return isID(revision) && name == self.revision(revision, of: stage)
  }

  /// The name of a subject table.
  static func subjects(_ table: String) -> ObjectName { name(subjects, "\(table).subjects") }

  /// Whether `name` is that of a subject table.
  static func isSubjects(_ name: ObjectName) -> Bool {
    let table = String(name.file.prefix(32))
    return isID(table) && name == subjects(table)
  }

  /// The name of the record of what is staged.
  static func record(_ id: String, _ ending: String) -> ObjectName { name(stages, id + ending) }

  /// The id in a record's file name, or nil if it has another ending.
  static func recordID(_ file: String, _ ending: String) -> String? {
    let id = String(file.prefix(32))
    return isID(id) && ExactString(file) == ExactString(id + ending) ? id : nil
  }

  /// The name of the lease of a session that does `work`.
  static func lease(_ session: String, _ work: LeaseWork) -> ObjectName {
    name(leases, "\(session)-\(work.rawValue).json")
  }

  /// Whose lease has this name; nil if it is none.
  static func lease(_ file: String) -> (session: String, work: LeaseWork)? {
    let session = String(file.prefix(Session.digits))
    guard Names.isHexadecimal(session, count: Session.digits),
      let work = LeaseWork.allCases.first(where: { lease(session, $0).file == file })
    else { return nil }
    return (session, work)
  }

  /// The number of a manifest's file name, or nil.
  static func manifestNumber(_ file: String) -> UInt64? {
    guard file.hasSuffix(".json"), let number = UInt64(file.dropLast(5)),
      (1...maximumSnapshot).contains(number), manifest(number).file == file
    else { return nil }
    return number
  }

  /// What a file belongs to that may be left over.
  struct Owner {
    /// The stage of a pack, of a catalog or of a revised one, or the id of a table.
    var id: String
    /// The id that its writer drew for it: that of the owner or, of a revised catalog, its own.
    var drawn: String
  }

  /// What a file belongs to that may be left over; nil for all others.
  static func owner(of name: ObjectName) -> Owner? {
    let id = String(name.file.prefix(32))
    guard isID(id) else { return nil }
    switch name.folder {
    case packs:
      let digits = name.file.dropFirst(33).prefix { $0.isNumber }
      guard let number = Int(digits), name == pack(id, number) else { return nil }
    case catalogs:
      if isRevision(name, of: id) {
        return Owner(id: id, drawn: String(name.file.dropFirst(33).prefix(32)))
      }
      guard name == catalog(id) else { return nil }
    case subjects: guard name == subjects(id) else { return nil }
    default: return nil
    }
    return Owner(id: id, drawn: id)
  }

  private static func isID(_ text: String) -> Bool { Names.isHexadecimal(text, count: 32) }

  private static func padded(_ number: UInt64, _ count: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, count - digits.count)) + digits
  }

  private static func name(_ folder: String?, _ file: String) -> ObjectName {
    guard let name = ObjectName(folder, file) else { preconditionFailure("no name: \(file)") }
    return name
  }
}

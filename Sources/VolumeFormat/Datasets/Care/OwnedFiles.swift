internal import Storage

extension Dataset {
  /// The files that belong to a stage or a table, which may be left over; others are left alone.
  ///
  /// - Throws: `IOFailure`.
  func ownedFiles() throws -> [(object: StoredObject, owner: Layout.Owner)] {
    try [Layout.packs, Layout.catalogs, Layout.subjects].flatMap { folder in
      try store.list(folder).compactMap { object in
        Layout.owner(of: object.name).map { (object, $0) }
      }
    }
  }
}

internal import ByteIO

/// The names of uploads in parts that are not complete, by the keys of their objects.
final class KnownUploads: @unchecked Sendable {
  private let monitor = Monitor()
  private var names: [String: Set<String>] = [:]

  /// Takes note of one.
  func add(_ upload: String, _ key: String) {
    monitor.update { _ = names[key, default: []].insert(upload) }
  }

  /// Forgets one.
  func remove(_ upload: String, _ key: String) {
    monitor.update {
      names[key]?.remove(upload)
      if names[key]?.isEmpty == true { names[key] = nil }
    }
  }

  /// All of a key.
  func all(_ key: String) -> Set<String> { monitor.update { names[key] ?? [] } }
}

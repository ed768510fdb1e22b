internal import ByteIO
public import Datasets
internal import Glibc
internal import S3
internal import ToolSupport

/// Opens the dataset that a user names, wherever it is kept.
///
/// - Throws: `IOFailure` if there is nothing of that name; `DatasetError` if it is something else;
///   `FormatError` if it is damaged; `S3Error` if its bucket cannot be reached.
public func openDataset(_ name: String) throws -> Dataset {
  guard let store = try bucket(name, S3Settings()) else { return try Dataset(opening: name) }
  // Whoever opens a dataset asks next which snapshots there are.
  store.prefetchNames(in: Dataset.snapshotFolder)
  return try Dataset(store, Session())
}

/// Opens it, or makes it if there is nothing.
///
/// - Parameters:
///   - name: the dataset.
///   - settings: how it is written to, if it is in a bucket.
/// - Returns: the dataset.
/// - Throws: as `openDataset`.
public func createDataset(_ name: String, _ settings: S3Settings = S3Settings()) throws -> Dataset {
  guard let store = try bucket(name, settings) else { return try Dataset.create(name) }
  return try Dataset.create(store, Session())
}

/// The store of a dataset in a bucket; nil if the name is that of a folder.
private func bucket(_ name: String, _ settings: S3Settings) throws -> S3Store? {
  guard isURL(name) else { return nil }
  let address: BucketAddress
  do throws(BucketAddress.Mistake) {
    address = try BucketAddress(name)
  } catch {
    throw ToolFailure(.usage, "'\(name)' \(error.reason)")
  }
  // Keys are in memory from here on. A limit of 0 would not keep the kernel from handing all of it to
  // a program that collects core dumps; a limit of 1 does.
  var limit = rlimit(rlim_cur: 1, rlim_max: 1)
  setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
  return S3Store(try Bucket(address, patience: settings.patience()), try settings.uploads())
}

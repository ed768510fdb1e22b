internal import Glibc

/// Whether two runs of memory hold the same bytes.
func isEqual(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ count: Int) -> Bool {
  memcmp(first, second, count) == 0
}

internal import Glibc

/// Whether two runs of memory hold the same bytes.
func isEqual(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ count: Int) -> Bool {
  memcmp(first, second, count) == 0
}

/// Whether all of `bytes` are zero.
func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
  // Most that are not show it in their first bytes; the rest is compared with itself, shifted by one.
  guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
  let head = min(bytes.count, 64)
  for index in 0..<head where bytes[index] != 0 { return false }
  return bytes.count <= 64 || isEqual(base, base + 1, bytes.count - 1)
}

/// Memory to be freed with `deallocate`; in large pages where there is much of it.
///
/// A chunk's rows lie far apart in a slab: with small pages each row costs a look-up of its page.
func allocateLarge(_ count: Int) -> UnsafeMutableRawBufferPointer {
  let page = 2 << 20
  guard count >= 2 * page else { return .allocate(byteCount: count, alignment: 64) }
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: page)
  // The advice may be refused; then pages are small.
  _ = madvise(buffer.baseAddress, count, 14 /* MADV_HUGEPAGE */)
  return buffer
}

internal import Glibc

/// Where scratch files may lie for a while: `TMPDIR`, else `/tmp`.
public func temporaryDirectory() -> String {
  let named = getenv("TMPDIR").map { String(cString: $0) } ?? ""
  return named.isEmpty ? "/tmp" : named
}

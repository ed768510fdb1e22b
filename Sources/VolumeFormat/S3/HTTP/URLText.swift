/// Encodes text for a URL as Amazon's signatures want it: every byte but letters, digits and
/// `-._~` becomes `%XX`.
///
/// - Parameters:
///   - text: what to encode, of any bytes.
///   - keepingSlashes: whether `/` stays, as in a path.
/// - Returns: the text, in ASCII.
package func percentEncoded(_ text: String, keepingSlashes: Bool = false) -> String {
  let digits = Array("0123456789ABCDEF".utf8)
  var out: [UInt8] = []
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "_"), UInt8(ascii: "~"):
      out.append(byte)
    case UInt8(ascii: "/") where keepingSlashes: out.append(byte)
    default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
  return String(decoding: out, as: UTF8.self)
}

/// Decodes `%XX`, and `+` as a space: what a server does to keys in a listing that asks for
/// `encoding-type=url`.
///
/// - Returns: the text; nil if a sign of percent is not followed by two digits, or it is not UTF-8.
package func percentDecoded(_ text: String) -> String? {
  var out: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let byte = rest.popFirst() {
    switch byte {
    case UInt8(ascii: "+"): out.append(UInt8(ascii: " "))
    case UInt8(ascii: "%"):
      // A sign is none of the digits that Swift reads for a number.
      guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
        rest.count >= 2, rest.first != UInt8(ascii: "+"), rest.first != UInt8(ascii: "-")
      else { return nil }
      rest = rest.dropFirst(2)
      out.append(value)
    default: out.append(byte)
    }
  }
  return String(validating: out, as: UTF8.self)
}

/// A server, from `scheme://host[:port]`.
package struct ServerAddress: Sendable, Equatable {
  /// `http` or `https`.
  package var scheme: String
  /// A name or an address, in brackets if one of version 6, and the port if it is not the scheme's.
  package var host: String
  /// A path in front of all others, without a slash at its end; empty for none.
  package var path: String

  /// Reads an address; nil if it is none, or holds a name and a password, a query or a fragment.
  package init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[1].isEmpty else { return nil }
    scheme = parts[0].lowercased()
    guard ["http:", "https:"].contains(scheme) else { return nil }
    scheme.removeLast()
    host = String(parts[2])
    path = parts.count == 4 ? "/" + parts[3] : ""
    while path.hasSuffix("/") { path.removeLast() }
    let isPlain = (host + path).utf8.allSatisfy {
      (0x21...0x7E).contains($0) && !Array("@?#\"<>\\^`{|}".utf8).contains($0)
    }
    guard isPlain, !host.isEmpty, !host.hasPrefix(":") else { return nil }
    let usual = scheme == "https" ? ":443" : ":80"
    if host.hasSuffix(usual) { host.removeLast(usual.count) }
  }

  /// Makes an address of its parts.
  init(scheme: String, host: String, path: String = "") {
    self.scheme = scheme
    self.host = host
    self.path = path
  }
}

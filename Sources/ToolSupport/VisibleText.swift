internal import ByteIO

/// `text` with all that a terminal would act on, or that hides or turns what follows, written as
/// `\u{1b}`.
public func visible(_ text: String, keepingTabs: Bool = false) -> String {
  func mustShow(_ scalar: Unicode.Scalar) -> Bool {
    UnsafeScalars.mustShow(scalar) && !(keepingTabs && scalar == "\t")
  }
  guard text.unicodeScalars.contains(where: mustShow) else { return text }
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    if mustShow(scalar) {
      result.append(contentsOf: scalar.escaped(asASCII: true).unicodeScalars)
    } else {
      result.append(scalar)
    }
  }
  return String(result)
}

/// `text` as a message on one line of a bounded length: of a longer one the middle is left out.
public func oneLine(_ text: String) -> String {
  let maximum = 4000
  guard text.utf8.count > maximum else { return visible(text) }
  let end = String(
    decoding: text.utf8.suffix(maximum / 2).drop { $0 & 0xC0 == 0x80 }, as: UTF8.self)
  return visible(bounded(text, maximum / 2) + end)
}

/// `text` as a field of a table whose fields are separated by `separator`, in quotes where RFC 4180
/// wants them.
///
/// - Parameters:
///   - text: the field.
///   - separator: a tab or a comma.
///   - isSafe: whether a field that a spreadsheet would take for a formula gets an apostrophe
///     before it.
/// - Returns: the field.
public func quotedField(_ text: String, separator: Unicode.Scalar, isSafe: Bool = false) -> String {
  var text = text
  if isSafe, let first = text.utf8.first, [0x3D, 0x2B, 0x2D, 0x40, 0x09, 0x0D].contains(first),
    Double(text) == nil
  {
    text = "'" + text
  }
  let scalars = text.unicodeScalars
  guard
    scalars.first == "\""
      || scalars.contains(where: { $0 == "\n" || $0 == "\r" || $0 == separator })
  else { return text }
  // Scalars, since a quote and a mark behind it are one character.
  let doubled = scalars.flatMap { $0 == "\"" ? [$0, $0] : [$0] }
  return "\"\(String(String.UnicodeScalarView(doubled)))\""
}

/// `text`, if it has over `maximum` bytes its beginning only, and a sign that more followed.
public func bounded(_ text: String, _ maximum: Int) -> String {
  guard text.utf8.count > maximum else { return text }
  // A scalar that is cut off becomes a replacement character, which is left out.
  var start = Array(text.utf8.prefix(maximum))
  while let last = start.last, last & 0xC0 == 0x80 { start.removeLast() }
  if let last = start.last, last >= 0xC0 { start.removeLast() }
  return String(decoding: start, as: UTF8.self) + "…"
}

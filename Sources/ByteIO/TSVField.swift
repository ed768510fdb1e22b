/// `text` as a field between tabs: what would end the field or the line becomes a space.
public func tsvField(_ text: String) -> String {
  func breaks(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
      || (0x2028...0x2029).contains(scalar.value)
  }
  guard text.unicodeScalars.contains(where: breaks) else { return text }
  return String(String.UnicodeScalarView(text.unicodeScalars.map { breaks($0) ? " " : $0 }))
}

internal import CCrypto

/// `bytes` in base64, padded.
public func base64(_ bytes: [UInt8]) -> String {
  var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
  let count = EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
  return String(decoding: text[..<Int(count)], as: UTF8.self)
}

/// The bytes that `text` stands for; nil unless it is just what `base64` makes of them.
public func base64Decoded(_ text: [UInt8]) -> [UInt8]? {
  guard text.count % 4 == 0, text.count < 1 << 30 else { return nil }
  if text.isEmpty { return [] }
  var bytes = [UInt8](repeating: 0, count: text.count / 4 * 3)
  let count = EVP_DecodeBlock(&bytes, text, Int32(text.count))
  guard count == bytes.count else { return nil }
  let padding = text.suffix(2).count { $0 == UInt8(ascii: "=") }
  bytes.removeLast(padding)
  // The library passes over white space, and more.
  return base64(bytes).utf8.elementsEqual(text) ? bytes : nil
}

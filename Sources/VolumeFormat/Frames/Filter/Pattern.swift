public import ByteIO
internal import CPCRE2

/// A regular expression of a user's, in the syntax of Perl, matched in a bounded number of steps.
public final class Pattern: @unchecked Sendable {
  /// What is wrong with an expression.
  public struct SyntaxError: Error {
    /// The library's words.
    public var reason: String
    /// Where, in bytes from 0.
    public var offset: Int
  }

  /// A match that was given up.
  public struct TooManySteps: Error {
    /// The expression.
    public var pattern: String
  }

  /// So many times an expression may begin to match a part of itself: a fraction of a second.
  private static let maximumSteps: UInt32 = 5_000_000
  /// Kibibytes that a match may take.
  private static let maximumHeap: UInt32 = 32 << 10

  /// The expression.
  public let text: String
  private let code: OpaquePointer
  private let context: OpaquePointer

  /// Compiles an expression.
  ///
  /// - Throws: `SyntaxError` if it is none.
  public init(_ text: String) throws(SyntaxError) {
    self.text = text
    var number: Int32 = 0
    var offset = 0
    let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MATCH_INVALID_UTF)
    let bytes = Array(text.utf8)
    guard let code = pcre2_compile_8(bytes, bytes.count, options, &number, &offset, nil) else {
      throw SyntaxError(reason: Self.message(of: number), offset: offset)
    }
    guard let context = pcre2_match_context_create_8(nil) else { fatalError("out of memory") }
    pcre2_set_match_limit_8(context, Self.maximumSteps)
    pcre2_set_heap_limit_8(context, Self.maximumHeap)
    self.code = code
    self.context = context
  }

  /// The library's words for an error.
  static func message(of number: Int32) -> String {
    var message = [UInt8](repeating: 0, count: 256)
    let length = max(0, pcre2_get_error_message_8(number, &message, message.count))
    return String(decoding: message.prefix(Int(length)), as: UTF8.self)
  }

  deinit {
    pcre2_match_context_free_8(context)
    pcre2_code_free_8(code)
  }

  /// How many groups it has.
  public var groupCount: Int {
    var count: UInt32 = 0
    pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_CAPTURECOUNT), &count)
    return Int(count)
  }

  /// The groups that have names, by their numbers.
  public var groupNames: [Int: ExactString] {
    var count: UInt32 = 0
    var size: UInt32 = 0
    var table: UnsafePointer<UInt8>?
    pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_NAMECOUNT), &count)
    pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_NAMEENTRYSIZE), &size)
    pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_NAMETABLE), &table)
    guard let table else { return [:] }
    var names: [Int: ExactString] = [:]
    for entry in 0..<Int(count) {
      // Two bytes of the group's number, the higher first, then its name and a NUL.
      let start = table + entry * Int(size)
      let number = Int(start[0]) << 8 | Int(start[1])
      names[number] = start.withMemoryRebound(to: CChar.self, capacity: Int(size)) {
        ExactString(String(cString: $0 + 2))
      }
    }
    return names
  }

  /// Finds the first place in `subject` that it matches.
  ///
  /// - Parameter subject: text, or bytes of which those that are no UTF-8 match nothing.
  /// - Returns: the bytes of the match and then of each group, nil for one that took no part; nil if
  ///   there is no match.
  /// - Throws: `TooManySteps`.
  public func firstMatch(in subject: [UInt8]) throws(TooManySteps) -> [[UInt8]?]? {
    guard let data = pcre2_match_data_create_from_pattern_8(code, nil) else {
      fatalError("out of memory")
    }
    defer { pcre2_match_data_free_8(data) }
    let status = pcre2_match_8(code, subject, subject.count, 0, 0, data, context)
    if status == PCRE2_ERROR_NOMATCH { return nil }
    guard status > 0, let places = pcre2_get_ovector_pointer_8(data) else {
      throw TooManySteps(pattern: text)
    }
    return (0...groupCount).map { group in
      let (start, end) = (places[2 * group], places[2 * group + 1])
      // A group that took no part has PCRE2_UNSET, which comes as -1, in both places.
      return 0 <= start && start <= end && end <= subject.count ? Array(subject[start..<end]) : nil
    }
  }
}

/// Items in a file, one a line or each ended by NUL; empty ones are passed over, unless the list is
/// strict.
public struct LineList {
  /// An item that is longer than it may be.
  public struct TooLong: ExplainedError {
    /// The file.
    public var path: String
    /// The most bytes of an item.
    public var maximum: Int

    /// See `ExplainedError`.
    public var failureKind: FailureKind { .badData }
    /// See `ExplainedError`.
    public var explanation: String {
      "cannot read '\(path)': a line is over \(maximum >> 10) KiB long"
    }
  }

  /// In a strict list, an empty item, or a last one without its end.
  public struct Irregular: Error {}

  private let path: String
  private let read: (UnsafeMutableRawBufferPointer) throws -> Int
  private let separator: UInt8
  private let maximum: Int
  private let isStrict: Bool
  private var buffer: [UInt8] = []
  private var start = 0
  private var isAtEnd = false

  /// Reads from `file`.
  ///
  /// - Parameters:
  ///   - file: where the items are.
  ///   - nulSeparated: whether each ends in NUL, not in a line feed.
  ///   - maximum: the most bytes of an item.
  ///   - head: what was taken from the file already.
  ///   - isStrict: whether an empty item, or a last one without its end, is an error.
  public init(
    _ file: InputFile, nulSeparated: Bool, maximum: Int = 1 << 16, head: [UInt8] = [],
    isStrict: Bool = false
  ) {
    self.init(file.path, nulSeparated: nulSeparated, maximum: maximum, isStrict: isStrict) {
      try file.read(into: $0)
    }
    buffer = head
  }

  /// Reads what `read` puts into its buffer, until that is nothing; `path` is for messages.
  public init(
    _ path: String, nulSeparated: Bool, maximum: Int, isStrict: Bool,
    read: @escaping (UnsafeMutableRawBufferPointer) throws -> Int
  ) {
    self.path = path
    self.read = read
    self.isStrict = isStrict
    self.maximum = maximum
    separator = nulSeparated ? 0 : 0x0A
  }

  /// The next item; nil at the end.
  ///
  /// - Throws: `TooLong`; `Irregular`; `IOFailure`.
  public mutating func next() throws -> [UInt8]? {
    while true {
      let item: ArraySlice<UInt8>
      if let end = buffer[start...].firstIndex(of: separator) {
        item = buffer[start..<end]
        start = end + 1
      } else if isAtEnd {
        item = buffer[start...]
        start = buffer.count
        if item.isEmpty { return nil }
        if isStrict { throw Irregular() }
      } else {
        try refill()
        continue
      }
      guard item.count <= maximum else { throw TooLong(path: path, maximum: maximum) }
      if !item.isEmpty { return Array(item) }
      if isStrict { throw Irregular() }
    }
  }

  private mutating func refill() throws {
    buffer.removeSubrange(..<start)
    start = 0
    guard buffer.count <= maximum else { throw TooLong(path: path, maximum: maximum) }
    var more = [UInt8](repeating: 0, count: 1 << 16)
    let count = try more.withUnsafeMutableBytes { try read($0) }
    isAtEnd = count == 0
    buffer += more[..<count]
  }
}

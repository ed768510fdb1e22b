public import ArgumentParser
public import ByteIO
internal import Glibc
public import SystemPackage
public import Frames

/// `-j`, the same in every tool that has it.
public struct JobsOption: ParsableArguments {
  @Option(
    name: [.customShort("j", allowingJoined: true), .long],
    help: ArgumentHelp(
      "Use N threads; the output does not depend on it (default: number of processors).",
      valueName: "n"))
  var jobs: Int?

  /// For ArgumentParser.
  public init() {}

  /// The number of threads.
  public var count: Int { jobs ?? processorCount() }

  /// Refuses numbers out of range.
  ///
  /// - Throws: `ValidationError`.
  public func validate() throws {
    if let jobs, !(1...256).contains(jobs) {
      throw ValidationError("--jobs takes a number from 1 to 256")
    }
  }
}

/// `--missing`, the same in every tool that reads tables.
public struct MissingOption: ParsableArguments {
  /// The values that were named.
  @Option(
    name: .customLong("missing"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Take TOKEN in a table for no value, as an empty field and n/a are; repeatable.",
      valueName: "token"))
  public var tokens: [ExactString] = []

  /// For ArgumentParser.
  public init() {}

  /// All values that say nothing.
  public var values: MissingValues { MissingValues(tokens) }
}

extension NameTemplate {
  /// Reads the template of an option.
  ///
  /// - Throws: `ValidationError` that names the option.
  public init(option: String, _ text: String, folders: Folders) throws {
    do throws(SyntaxError) {
      try self.init(text, folders: folders)
    } catch {
      throw ValidationError("'\(bounded(text, 200))' is no \(option): \(error.reason)")
    }
  }
}

/// The paths that operands mean, byte for byte.
///
/// Arguments that are not UTF-8 come to their parser with U+FFFD for each wrong byte; here they
/// are found again among those that the process was given.
public func filePaths(of arguments: [String]) -> [FilePath] {
  var taken: Set<Int> = []
  let given = ProcessArguments.raw
  return arguments.map { argument in
    guard argument.unicodeScalars.contains("\u{FFFD}") else { return FilePath(argument) }
    for (index, raw) in given.enumerated().dropFirst() where !taken.contains(index) {
      guard String(cString: raw).utf8.elementsEqual(argument.utf8) else { continue }
      taken.insert(index)
      return FilePath(platformString: raw)
    }
    return FilePath(argument)
  }
}

/// Whether `text` is a URL: `scheme://` and more.
public func isURL(_ text: some StringProtocol) -> Bool {
  var scheme = true
  var rest = Array(text.utf8)[...]
  guard let first = rest.first, (first | 0x20) >= 0x61, (first | 0x20) <= 0x7A else { return false }
  while scheme, let byte = rest.first {
    let isLetter = (0x61...0x7A).contains(byte | 0x20)
    scheme = isLetter || (0x30...0x39).contains(byte) || [0x2B, 0x2D, 0x2E].contains(byte)
    if scheme { rest = rest.dropFirst() }
  }
  return rest.starts(with: "://".utf8)
}

/// Refuses URLs where files and folders are meant.
///
/// - Throws: `ValidationError` that names the first.
public func requireLocal(_ paths: String?...) throws {
  try requireLocal(paths.compactMap(\.self))
}

/// The same, of any number.
///
/// - Throws: `ValidationError` that names the first.
public func requireLocal(_ paths: [String]) throws {
  for path in paths where isURL(path) {
    throw ValidationError(
      "'\(path)' is a URL; volpipe reads and writes local files and folders (./\(path) is one)")
  }
}

/// Refuses standard input where it is named more than once among operands and values of options.
///
/// - Throws: `ValidationError`.
public func requireStandardInputOnce(_ names: [String]) throws {
  guard names.count(where: { StandardStream.isMeant(by: $0) }) <= 1 else {
    throw ValidationError("\(StandardStream.inputName) can be read once only")
  }
}

/// A key and a value, from `KEY=VALUE`.
public struct KeyValue: ExpressibleByArgument, Sendable {
  /// What stands before the first `=`.
  public var key: ExactString
  /// What stands behind it.
  public var value: ExactString

  /// Reads `KEY=VALUE`; nil if the key is empty.
  public init?(argument: String) {
    guard let sign = argument.utf8.firstIndex(of: UInt8(ascii: "=")), sign != argument.startIndex
    else { return nil }
    // By bytes: a sign and a mark behind it are one Character.
    key = ExactString(String(Substring(argument.utf8[..<sign])))
    value = ExactString(String(Substring(argument.utf8[sign...].dropFirst())))
  }
}

/// A number of bytes, with K, M, G or T for powers of 1024.
public struct ByteSize: ExpressibleByArgument, Sendable, CustomStringConvertible {
  /// The number.
  public var bytes: UInt64

  /// In the largest unit that is exact.
  public var description: String {
    for (power, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")]
    where bytes % (1 << power) == 0 {
      return "\(bytes >> power)\(unit)"
    }
    return String(bytes)
  }

  /// Makes a size.
  public init(bytes: UInt64) { self.bytes = bytes }

  /// Reads a size; nil if it is none, 0 or over 2^60.
  public init?(argument: String) {
    var digits = argument[...]
    var scale: UInt64 = 1
    if let last = argument.uppercased().last, let power = ["K", "M", "G", "T"].firstIndex(of: last)
    {
      digits = argument.dropLast()
      scale = 1 << (10 * UInt64(power + 1))
    }
    guard let count = UInt64(digits), count > 0 else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: scale)
    guard !overflow, bytes <= 1 << 60 else { return nil }
    self.bytes = bytes
  }
}

extension DataType: ExpressibleByArgument {}

extension ExactString: ExpressibleByArgument {
  /// Takes the argument as it is.
  public init?(argument: String) { self.init(argument) }
}

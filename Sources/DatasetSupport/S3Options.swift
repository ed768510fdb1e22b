public import ArgumentParser
internal import Glibc
internal import S3
internal import ToolSupport

/// How a dataset in a bucket is written, the same in every tool that has these options; those that are
/// not given are taken from the environment.
public struct S3Options: ParsableArguments {
  @Option(
    name: .customLong("s3-part-size"),
    help: ArgumentHelp("Upload to a bucket in parts of SIZE (default: 8M).", valueName: "size"))
  var partSize: ByteSize?

  @Option(
    name: .customLong("s3-max-parallel"),
    help: ArgumentHelp("Have N parts under way at once (default: 16).", valueName: "n"))
  var maxParallel: Int?

  @Option(
    name: .customLong("s3-max-buffer"),
    help: ArgumentHelp(
      "Take SIZE of memory for parts, and have fewer under way if need be (default: 256M).",
      valueName: "size"))
  var maxBuffer: ByteSize?

  /// For ArgumentParser.
  public init() {}

  /// Refuses numbers out of range.
  ///
  /// - Throws: `ValidationError`.
  public func validate() throws {
    if let partSize { try S3Settings.check(partSize, "--s3-part-size") }
    if let maxParallel { try S3Settings.check(maxParallel, "--s3-max-parallel") }
  }

  /// What was given.
  public var settings: S3Settings {
    S3Settings(partSize: partSize, maxParallel: maxParallel, maxBuffer: maxBuffer)
  }
}

/// How a dataset in a bucket is reached and written: what is not given here is taken from the
/// environment, or as usual.
public struct S3Settings: Sendable {
  var partSize: ByteSize?
  var maxParallel: Int?
  var maxBuffer: ByteSize?

  init(partSize: ByteSize?, maxParallel: Int?, maxBuffer: ByteSize?) {
    (self.partSize, self.maxParallel, self.maxBuffer) = (partSize, maxParallel, maxBuffer)
  }

  /// Gives nothing.
  public init() {}

  static func check(_ size: ByteSize, _ name: String) throws {
    guard size.bytes >= UploadOptions.partRange.lowerBound,
      size.bytes <= UploadOptions.partRange.upperBound
    else { throw ValidationError("\(name) takes 5M to 5G, as servers do") }
  }

  static func check(_ number: Int, _ name: String) throws {
    guard (1...256).contains(number) else {
      throw ValidationError("\(name) takes a number from 1 to 256")
    }
  }

  /// Them all.
  ///
  /// - Throws: `ValidationError` if a variable of the environment is out of range.
  func uploads() throws -> UploadOptions {
    var options = UploadOptions()
    if let size = try partSize ?? Self.variable("VOLPIPE_S3_PART_SIZE", ByteSize.init(argument:)) {
      try Self.check(size, partSize == nil ? "VOLPIPE_S3_PART_SIZE" : "--s3-part-size")
      options.partBytes = Int(size.bytes)
    }
    if let count = try maxParallel ?? Self.variable("VOLPIPE_S3_MAX_PARALLEL", { Int($0) }) {
      try Self.check(count, maxParallel == nil ? "VOLPIPE_S3_MAX_PARALLEL" : "--s3-max-parallel")
      options.parallel = count
    }
    if let size = try maxBuffer ?? Self.variable("VOLPIPE_S3_MAX_BUFFER", ByteSize.init(argument:))
    {
      options.maximumBuffer = Int(size.bytes)
    }
    return options
  }

  /// How long a request is tried.
  ///
  /// - Throws: `ToolFailure` if the variable of the environment is no number.
  func patience() throws -> Bucket.Patience {
    var patience = Bucket.Patience()
    if let seconds = try Self.variable("VOLPIPE_S3_RETRY_SECONDS", { UInt32($0) }) {
      patience.seconds = Double(seconds)
    }
    return patience
  }

  private static func variable<T>(_ name: String, _ read: (String) -> T?) throws -> T? {
    guard let text = getenv(name).map({ String(cString: $0) }), !text.isEmpty else { return nil }
    guard let value = read(text) else {
      throw ToolFailure(.usage, "\(name) is '\(text)', which is no such number")
    }
    return value
  }
}

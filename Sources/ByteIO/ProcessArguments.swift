import CLinux

/// The arguments that the process was given, whether or not there is a `/proc` to read them from.
public enum ProcessArguments {
  /// Their bytes, the name of the program first; valid as long as the process.
  public static var raw: [UnsafePointer<CChar>] {
    var count = CommandLine.argc
    // Swift reads them from /proc, and without it has none, not even the program's name.
    let words = count > 0 ? CommandLine.unsafeArgv : volpipe_arguments(&count)
    return (0..<Int(count)).compactMap { index in words?[index].map { UnsafePointer($0) } }
  }

  /// They as text, without the name of the program, with U+FFFD for each byte that is not UTF-8.
  public static var operands: [String] { raw.dropFirst().map { String(cString: $0) } }
}

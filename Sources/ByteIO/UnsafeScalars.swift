/// Characters that a line of text must not hold as they are: who reads it could be misled.
public enum UnsafeScalars {
  /// Line and paragraph separators, and marks that turn the direction of what follows.
  ///
  /// Source: Unicode Standard Annex 9, the explicit formatting characters and implicit marks.
  private static func misleads(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  /// Whether a scalar is a control character (C0, DEL, C1) or one of those above.
  public static func mustShow(_ scalar: UInt32) -> Bool {
    scalar < 0x20 || (0x7F...0x9F).contains(scalar) || misleads(scalar)
  }

  /// The same of a scalar as Swift has it.
  public static func mustShow(_ scalar: Unicode.Scalar) -> Bool { mustShow(scalar.value) }
}

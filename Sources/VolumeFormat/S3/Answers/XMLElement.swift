internal import ByteIO
import CExpat

/// An element of what a server answers in XML: its name without a prefix, its text, its children.
package final class XMLElement {
  /// Its name, without a prefix.
  package let name: String
  /// Its text behind its last child.
  package fileprivate(set) var text = ""
  /// What is in it.
  package private(set) var children: [XMLElement] = []

  fileprivate init(_ name: String) { self.name = name }

  /// The first child of a name.
  package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }

  /// The text of the first child of a name; nil if there is none.
  package func text(_ name: String) -> String? { child(name)?.text }

  /// All children of a name.
  package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

  fileprivate func add(_ child: XMLElement) { children.append(child) }

  /// Parses a document.
  ///
  /// Declarations of types are refused, and with them entities that grow as they are expanded.
  ///
  /// - Returns: its root; nil if it is no XML, or nested over 32 deep.
  package static func parse(_ document: [UInt8]) -> XMLElement? {
    guard let parser = XML_ParserCreate(nil) else { return nil }
    defer { XML_ParserFree(parser) }
    let builder = Builder(parser)
    XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
    XML_SetElementHandler(
      parser,
      { context, name, _ in
        if let name { Builder.of(context)?.begin(String(cString: name)) }
      },
      { context, _ in Builder.of(context)?.end() })
    XML_SetCharacterDataHandler(parser) { context, bytes, count in
      Builder.of(context)?.add(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
    }
    XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in
      Builder.of(context)?.stop()
    }
    let status = document.withUnsafeBytes { bytes in
      XML_Parse(
        parser, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(bytes.count), 1)
    }
    return status == XML_STATUS_OK ? builder.root : nil
  }

  /// Makes elements of what the parser finds.
  private final class Builder {
    private let parser: XML_Parser
    private(set) var root: XMLElement?
    private var open: [XMLElement] = []
    private var bytes: [UInt8] = []

    init(_ parser: XML_Parser) { self.parser = parser }

    static func of(_ context: UnsafeMutableRawPointer?) -> Builder? {
      context.map { Unmanaged<Builder>.fromOpaque($0).takeUnretainedValue() }
    }

    func begin(_ name: String) {
      guard open.count < 32 else { return stop() }
      let bare = name.split(separator: ":").last.map(String.init) ?? name
      let element = XMLElement(bare)
      if let parent = open.last { parent.add(element) } else { root = element }
      open.append(element)
      bytes = []
    }

    /// Text between children is white space, which nobody asks for.
    func add(_ part: UnsafeRawBufferPointer) { bytes += part }

    func end() {
      open.popLast()?.text = String(decoding: bytes, as: UTF8.self)
      bytes = []
    }

    func stop() { XML_StopParser(parser, 0) }
  }
}

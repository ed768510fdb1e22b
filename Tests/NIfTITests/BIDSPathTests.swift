import NIfTI
import Testing
import VolumeFormat

@Suite struct BIDSPathTests {
  private func header(
    subject: String?, _ attributes: [String: JSONValue] = [:], collection: String = "T1w"
  ) throws -> VolumeHeader {
    let text = #"{"name": "x", "shape": [2, 2, 2], "dtype": "int16"}"#
    var header = try JSON.decode(VolumeHeader.self, from: Array(text.utf8), in: "test")
    header.obsSubjectID = subject
    header.collection = collection
    header.attributes = attributes
    return header
  }

  @Test(
    arguments: [
      ("sub-01", [:], "sub-01/anat/sub-01_T1w"),
      ("P7+a", [:], "sub-P7+a/anat/sub-P7+a_T1w"),
      ("P7", ["sub": .string("01")], "sub-P7/anat/sub-P7_T1w"),
      (nil, ["sub": .string("01")], "sub-01/anat/sub-01_T1w"),
      (
        "sub-01", ["ses": .string("2"), "run": .string("007"), "age": .string("4 years")],
        "sub-01/ses-2/anat/sub-01_ses-2_run-007_T1w"
      ),
      ("sub-01", ["ses": .null], "sub-01/anat/sub-01_T1w"),
    ] as [(String?, [String: JSONValue], String)])
  func aVolumeIsNamedByItsSubjectAndEntities(
    subject: String?, attributes: [String: JSONValue], path: String
  ) throws {
    #expect(try BIDSPath.path(of: header(subject: subject, attributes)) == path)
  }

  @Test(
    arguments: [
      ("A-1", [:], "A-1"), ("sub-NDAR-INV001", [:], "sub-NDAR-INV001"), ("sub-", [:], "sub-"),
      ("M\u{FC}ller", [:], "M\u{FC}ller"), (nil, [:], "subject"),
      (nil, ["sub": .string("a b")], "a b"),
      ("sub-01", ["ses": .string("1.5")], "1.5"),
      ("sub-01", ["suffix": .string("T1w.old")], "T1w.old"),
      ("sub-01", ["run": .unsigned(1)], "run"), ("sub-01", ["datatype": .string("../up")], "../up"),
    ] as [(String?, [String: JSONValue], String)])
  func whatBIDSCannotHoldIsRefusedByName(
    subject: String?, attributes: [String: JSONValue], named: String
  ) throws {
    let header = try header(subject: subject, attributes)
    let error = try #require(throws: FormatError.self) { try BIDSPath.path(of: header) }
    #expect(error.description.contains(named))
  }
}

import ByteIO
import NIfTI
import Testing
import Frames

@Suite struct BIDSPathTests {
  private func header(
    subject: ExactString?, _ attributes: JSONObject = [:], collection: ExactString = "T1w"
  ) throws -> VolumeHeader {
    var header = VolumeHeader(name: "x", shape: [2, 2, 2], dtype: .int16)
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
    ] as [(ExactString?, JSONObject, ExactString)])
  func aVolumeIsNamedByItsSubjectAndEntities(
    subject: ExactString?, attributes: JSONObject, path: ExactString
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
      ("sub-01", ["run": .integer(1)], "run"), ("sub-01", ["datatype": .string("../up")], "../up"),
    ] as [(ExactString?, JSONObject, String)])
  func whatBIDSCannotHoldIsRefusedByName(
    subject: ExactString?, attributes: JSONObject, named: String
  ) throws {
    let header = try header(subject: subject, attributes)
    let error = try #require(throws: FormatError.self) { try BIDSPath.path(of: header) }
    #expect(error.description.contains(named))
  }
}

import ByteIO
import NIfTI
import Testing
import Frames

@Suite struct BIDSNameTests {
  @Test(arguments: [
    ("sub-01_ses-2_run-007_T1w", ["sub": "01", "ses": "2", "run": "007", "suffix": "T1w"]),
    ("sub-A+b", ["sub": "A+b"]),
    ("sub-01_T1w_defaced", ["sub": "01", "suffix": "defaced"]),
    ("sub-01_acq-_x-y-z_dir-AP_dir-PA_", ["sub": "01", "x": "y-z", "dir": "AP"]),
    ("sub-01.old_bold", ["sub": "01.old", "suffix": "bold"]),
    ("sub-01_T1w.old", ["sub": "01", "suffix": "T1w.old"]),
    ("sub-NDAR-INV001_T1w", ["sub": "NDAR-INV001", "suffix": "T1w"]),
    ("sub-M\u{FC}ller_ses-a b_T1w", ["sub": "M\u{FC}ller", "ses": "a b", "suffix": "T1w"]),
    ("sub-\u{301}1_\u{301}_T1w", ["sub": "\u{301}1", "suffix": "T1w"]),
    ("sub-01_k\u{E9}y-1_T1w", ["sub": "01", "suffix": "T1w"]),
    ("sub-01_part-mag", ["sub": "01", "part": "mag"]),
  ]) func entitiesBecomeAttributes(name: String, wanted: [String: String]) throws {
    let bids = try #require(BIDSName(name))
    let attributes = wanted.reduce(into: JSONObject()) {
      $0[ExactString($1.key)] = .text($1.value)
    }
    #expect(bids.attributes == attributes)
    #expect(SourceNaming.subject(named: name) == ExactString("sub-\(bids.subject)"))
  }

  @Test(arguments: [
    ("d/sub-01/ses-2/anat", "T1w", ["sub": "01", "ses": "2", "suffix": "T1w"]),
    ("sub-01/ses-2", "sub-01_ses-3_T1w", ["sub": "01", "ses": "3", "suffix": "T1w"]),
    (
      "my-data/sub-01_ses-4", "run-1_bold",
      ["sub": "01", "ses": "4", "run": "1", "suffix": "bold"]
    ),
    ("sub-09/old/sub-01/x", "scan", ["sub": "01", "suffix": "scan"]),
    ("ses-1/x-y", "sub-01", ["sub": "01"]),
  ]) func foldersBelowTheSubjectsSayWhatTheNameDoesNot(
    folders: String, name: String, wanted: [String: String]
  ) throws {
    let bids = try #require(BIDSName(name, in: folders.split(separator: "/").map(String.init)))
    #expect(
      bids.attributes
        == wanted.reduce(into: JSONObject()) { $0[ExactString($1.key)] = .text($1.value) })
    #expect(bids.subject == "01" && bids.otherSubject == nil)
  }

  @Test func aFolderOfAnotherSubjectIsTold() throws {
    let bids = try #require(BIDSName("sub-01_T1w", in: ["sub-02"]))
    #expect(bids.subject == "01" && bids.otherSubject == "02")
  }

  @Test func subjectsThatDifferInAByteStayTwo() throws {
    let names = [
      "sub-NDAR-INV001", "sub-NDAR-INV002", "sub-01", "sub-01.old", "sub-01 ", "sub-e\u{301}",
      "sub-\u{E9}", "sub-1\u{FE0F}", "sub-1",
    ]
    let subjects = Set(names.compactMap { SourceNaming.subject(named: "\($0)_T1w") })
    #expect(subjects.count == names.count)
  }

  @Test(arguments: ["scan12", "sub_01", "sub-", "sub-_T1w", "ses-1_sub-01", "my_sub-03", ""])
  func otherNamesSayNothing(name: String) {
    #expect(BIDSName(name) == nil)
    #expect(SourceNaming.subject(named: name) == ExactString(name))
  }
}

import ByteIO
import NIfTI
import Testing
import VolumeFormat

@Suite struct BIDSNameTests {
  @Test(arguments: [
    ("sub-01_ses-2_run-007_T1w", ["sub": "01", "ses": "2", "run": "007", "suffix": "T1w"]),
    ("sub-A+b", ["sub": "A+b"]),
    ("sub-01_T1w_defaced", ["sub": "01", "suffix": "defaced"]),
    ("sub-01_acq-_x-y-z_dir-AP_dir-PA_", ["sub": "01", "dir": "AP"]),
    ("sub-01.old_bold", ["sub": "01", "suffix": "bold"]),
    ("sub-01_part-mag", ["sub": "01", "part": "mag"]),
  ]) func entitiesBecomeAttributes(name: String, wanted: [String: String]) throws {
    let bids = try #require(BIDSName(name))
    let attributes = wanted.reduce(into: JSONObject()) {
      $0[ExactString($1.key)] = .text($1.value)
    }
    #expect(bids.attributes == attributes)
    #expect(VolumeSource.subject(named: name) == ExactString("sub-\(bids.subject)"))
  }

  @Test(arguments: ["scan12", "sub_01", "sub-", "sub-_T1w", "ses-1_sub-01", "my_sub-03", ""])
  func otherNamesSayNothing(name: String) {
    #expect(BIDSName(name) == nil)
    #expect(VolumeSource.subject(named: name) == ExactString(name))
  }
}

"""What others make of it: lists read by jq, pandas and DuckDB, new headers by nifti_tool."""

import base64
import io
import json
import re
import shutil

import nibabel
import numpy as np
import pytest
from dataset import Dataset
from frames import FrameWriter
from support import AFFINE, nifti, ok, plain, quote, ramp, rgb, save, stored


def need(program, package):
    assert shutil.which(program), f"{program} is missing: the tests need Debian's {package}"


SIDECAR = {"RepetitionTime": 2.5, "SliceTiming": [0, 0.5], "Deep": {"a": [1, 2]}, "Text": "007"}


def patch(path, at, data):
    whole = bytearray(path.read_bytes())
    whole[at:at + len(data)] = data
    path.write_bytes(whole)


@pytest.fixture(scope="module")
def listed(tools, tmp_path_factory):
    """A folder with a dataset of volumes that differ in everything, and the dataset as read."""
    box = tmp_path_factory.mktemp("lists")
    save(box / "in" / "sub-01_ses-2_T1w.nii.gz", ramp((5, 4, 3)),
         change=lambda header: header.set_slope_inter(0.5, -1024))
    (box / "in" / "sub-01_ses-2_T1w.json").write_text(json.dumps(SIDECAR))
    patch(save(box / "in" / "line.nii", ramp((7,))), 112, b"\0\0\0\0")
    patch(save(box / "in" / "flat.nii", ramp((7, 5), "u1")), 112, b"\0\0\xc0\x7f")
    patch(save(box / "in" / "odd.nii", ramp((3, 2, 2))), 80, b"\0\0\0\xc0")
    save(box / "in" / "time.nii", ramp((5, 4, 3, 6), "c8"), version=2, endian=">",
         change=lambda header: header.set_xyzt_units("mm", "msec"))
    save(box / "in" / "colours.nii", rgb((4, 3, 2)))
    save(box / "in" / "pair.hdr", ramp((3, 2, 2)), pair=True)
    for name in ("one", "two"):
        save(box / "more" / f"{name}.nii", ramp((3, 2, 2)))
    (box / "t.tsv").write_text("path\tobs_id\tage\tsite\nmore/one.nii\t\u00e9 1\t007\tsaid \"so\"\n"
                               "more/two.nii\tn/a\tn/a\t\n", encoding="utf-8")
    ok("(nifti-cat -q --sidecar --attr site=X in; nifti-cat -q --table t.tsv) | vol-write ds CT",
       box)
    ok("vol-commit ds", box)
    return box, Dataset(box / "ds").volumes


def said(value):
    """Without keys that say nothing: a table of columns has them in every row."""
    if isinstance(value, dict):
        return {key: said(part) for key, part in value.items() if part is not None}
    return value


def compare(lines, volumes):
    """Rows of id, shape, attributes, slope, quirks and header, a line of JSON each."""
    assert len(lines) == len(volumes)
    for line, (obs_id, volume) in zip(lines, volumes.items()):
        header = volume.header
        found = json.loads(line)
        assert [found[0], said(found[2] or {})] == [obs_id, header.get("attributes", {})]
        assert (found[1], found[3]) == (header["shape"], header.get("slope"))
        assert (found[4] or []) == header.get("quirks", [])
        assert base64.b64decode(found[5], validate=True) == raw_header(header)


def raw_header(header):
    return base64.b64decode(header["source"]["header"], validate=True)


def test_the_list_says_what_the_dataset_holds_and_the_header_is_that_of_the_file(listed):
    box, volumes = listed
    assert len(volumes) == 9 and {len(volume.shape) for volume in volumes.values()} == {1, 2, 3, 4}
    for line, volume in zip(ok("vol-ls --json ds CT", box).lines, volumes.values(), strict=True):
        found = json.loads(line)
        assert (found.pop("chunk"), found.pop("raw_bytes")) == (
            list(volume.chunk), volume.raw_bytes)
        assert found.pop("stored_bytes") == sum(length for _, length in volume.ranges())
        header = {key: value for key, value in volume.header.items() if key != "collection"}
        assert found == header
        source = header["source"]
        raw = raw_header(header)
        assert raw == plain(box / source["path"])[:len(raw)]
        kind = nibabel.Nifti1Header if len(raw) == 348 else nibabel.Nifti2Header
        parsed = kind(raw, endianness=source["byte_order"], check=False)
        assert list(parsed.get_data_shape()) == header["shape"]
        assert source["format"] == ("nifti1" if len(raw) == 348 else "nifti2")


def test_jq_reads_the_list(listed):
    need("jq", "jq")
    box, volumes = listed
    keys = "[.obs_id, .shape, .attributes, .slope, .quirks, .source.header]"
    compare(ok(f"vol-ls --json ds CT | jq -ce '{keys}'", box).lines, volumes)
    tall = ok("vol-ls --json ds CT | jq -r 'select(.shape[2] > 2) | .obs_id'", box).lines
    assert tall == ["sub-01_ses-2_T1w_CT", "time_CT"]


PANDAS = """
import json, sys, pandas
table = pandas.read_json(sys.stdin, lines=True)
for row in table.astype(object).where(table.notna(), None).to_dict("records"):
    print(json.dumps([row[key] for key in ("obs_id", "shape", "attributes", "slope", "quirks")]
                     + [row["source"]["header"]]))
"""
DUCKDB = """
import json, duckdb
rows = duckdb.execute("select obs_id, shape, attributes, slope, quirks, source.header "
                      "from read_json_auto('/dev/stdin')").fetchall()
for row in rows:
    print(json.dumps(row))
"""


@pytest.mark.parametrize("program", [PANDAS, DUCKDB], ids=["pandas", "duckdb"])
def test_a_table_is_made_of_the_list_at_the_end_of_a_pipe(listed, program):
    box, volumes = listed
    result = ok(f'vol-ls --json ds CT | "$PYTHON" -c {quote(program)}', box)
    compare(result.lines, volumes)


def turned(x, y, z, spacing, offset=(-90.5, 126, -72.25)):
    """An affine of three turns, in degrees, and of spacings; a negative one makes it a mirror."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians([x, y, z])):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return nibabel.affines.from_matvec(matrix @ np.diag(spacing), offset)


RIGID = {
    "plain": np.diag([2.0, 3, 4, 1]),
    "mirrored": turned(0, 0, 0, (-0.5, 0.5, 2)),
    "half_turn": turned(0, 0, 180, (1, 2, 3)),
    "half_turn_x": turned(180, 0, 0, (1, 2, 3)),
    "half_turn_y": turned(0, 180, 0, (1, 2, 3)),
    "half_turn_askew": turned(30, 40, 0, (1, 1, 1)) @ turned(0, 0, 180, (1, 2, 3), (0, 0, 0)),
    "sagittal": np.array([[0, 0, -3.0, 90], [1, 0, 0, -120], [0, 1.5, 0, -60], [0, 0, 0, 1]]),
    "oblique": turned(10, -25, 70, (0.4, 0.4, 5)),
    "oblique_mirrored": turned(100, 65, -140, (1, -2, 3)),
    "nearly_straight": turned(1e-3, -2e-3, 1e-3, (0.9, 0.9, 0.9)),
    "tiny": turned(33, 44, 55, (1e-3, 2e-3, 3e-3), (1e-2, 0, 1)),
}
SHEARED = {"sheared": AFFINE, "sheared_mirrored": AFFINE @ np.diag([-1, 1, 1, 1])}
CODES = {"int8": 256, "uint8": 2, "int16": 4, "uint16": 512, "int32": 8, "uint32": 768,
         "int64": 1024, "uint64": 1280, "float32": 16, "float64": 64, "complex64": 32,
         "complex128": 1792}


def volumes_to_write():
    """{name: (array, what the stream says of it)}."""
    made = {dtype: (ramp((3, 4, 2), dtype), {}) for dtype in CODES}
    for axes in range(1, 8):
        made[f"axes{axes}"] = (ramp((5, 4, 3, 2, 3, 2, 2)[:axes]), {"affine": RIGID["oblique"]})
    for channels in (3, 4):
        array = np.stack([ramp((5, 4, 3), "u1", seed=seed) for seed in range(channels)], -1)
        made[f"colours{channels}"] = (array, {"channels": channels, "affine": RIGID["plain"]})
    for name, affine in {**RIGID, **SHEARED}.items():
        made[name] = (ramp((5, 4, 3)), {"affine": affine})
    small = ramp((5, 4, 3, 2))
    made["spacing"] = (small, {"voxel_spacing": [0.5, 2, 3]})
    made["scaled"] = (small, {"slope": 0.5, "intercept": -1024})
    made["timed"] = (small, {"affine": RIGID["oblique"], "repetition_time": 2.5})
    made["micrometres"] = (small, {"affine": RIGID["tiny"], "units": {"space": "um", "code": 3}})
    made["described"] = (small, {
        "description": "caf\u00e9, 3 T", "affine": RIGID["mirrored"], "sform_code": 4,
        "intent": {"code": 1006, "parameters": [1, 2.5, -3], "name": "displacement"}})
    made["longest"] = (ramp((32_767, 2), "u1"), {"affine": RIGID["oblique"]})
    made["too_long"] = (ramp((2, 32_768), "u1"), {
        "affine": RIGID["oblique_mirrored"], "slope": 0.1, "intercept": 0.2,
        "description": "NIfTI-2"})
    made["too_long_sheared"] = (ramp((40_000,), "f8"), {"affine": AFFINE, "repetition_time": 0.72})
    return made


@pytest.fixture(scope="module")
def written(tools, tmp_path_factory):
    """A folder of files that nifti-write made from nothing, and what they were made from."""
    box, stream, made = tmp_path_factory.mktemp("headers"), io.BytesIO(), volumes_to_write()
    writer = FrameWriter(stream)
    for name, (array, header) in made.items():
        header = {key: np.asarray(value).tolist() if key == "affine" else value
                  for key, value in header.items()}
        writer.volume(array, name=name, **header)
    writer.end()
    ok("nifti-write -o out", box, stdin=stream.getvalue())
    return box / "out", made


def nifti_tool(action, folder, names):
    """{name: {field: text}} of what nifti_tool shows."""
    files = [f"{name}.nii" for name in names]
    text = ok(f"nifti_tool {action} -infiles {quote(*files)}", folder).text
    shown = {}
    for part in text.split("header file '")[1:]:
        fields = re.findall(r"^  (\w+) +\d+ +\d+ ?(.*)$", part, re.M)
        shown[part.split(".nii'")[0]] = {key: value.strip() for key, value in fields}
    assert set(shown) == set(names)
    return shown


def numbers(text):
    return [float(word) for word in text.split()]


def test_nifti_tool_finds_new_headers_good_and_reads_them_as_they_were_meant(written):
    need("nifti_tool", "nifti-bin")
    folder, made = written
    # Its check of headers knows NIfTI-1 only, and refuses NIfTI-2 of whatever make.
    first = [name for name in made if not name.startswith("too_long")]
    for action in ("-check_hdr", "-check_nim"):
        files = quote(*(f"{name}.nii" for name in first))
        assert ok(f"nifti_tool {action} -infiles {files}", folder).text.count("IS GOOD") == len(
            first)
    headers = nifti_tool("-disp_hdr", folder, made)
    images = nifti_tool("-disp_nim", folder, made)
    for name, (array, said_of_it) in made.items():
        header, image, channels = headers[name], images[name], said_of_it.get("channels", 1)
        shape = array.shape[:-1] if channels > 1 else array.shape
        kind = {1: CODES[array.dtype.name], 3: 128, 4: 2304}[channels]
        size = array.dtype.itemsize * channels
        assert header["magic"] == ("n+1" if name in first else "n+2"), name
        assert numbers(header["vox_offset"]) == [352 if name in first else 544], name
        assert numbers(header["dim"])[:len(shape) + 1] == [len(shape), *shape], name
        assert numbers(header["datatype"] + " " + header["bitpix"]) == [kind, 8 * size], name
        assert numbers(image["nvox"] + " " + image["nbyper"]) == [np.prod(shape), size], name

        slope, intercept = numbers(header["scl_slope"] + " " + header["scl_inter"])
        if "slope" in said_of_it:
            assert (slope, intercept) == (said_of_it["slope"], said_of_it["intercept"]), name
        else:
            assert slope == 0 or (slope, intercept) == (1, 0), name
        assert header["descrip"] == said_of_it.get("description", ""), name
        intent = said_of_it.get("intent", {"code": 0, "parameters": [0, 0, 0], "name": ""})
        assert numbers(header["intent_code"]) == [intent["code"]], name
        assert [float(header[f"intent_p{n}"]) for n in (1, 2, 3)] == intent["parameters"], name
        assert header["intent_name"] == intent["name"], name
        seconds = said_of_it.get("repetition_time")
        assert numbers(image["time_units"]) == [8 if seconds else 0], name
        assert not seconds or numbers(image["dt"]) == [seconds], name

        affine, codes = said_of_it.get("affine"), (image["qform_code"], image["sform_code"])
        if affine is None:
            assert codes == ("0", "0"), name
            spacing = said_of_it.get("voxel_spacing", [1, 1, 1])
        else:
            spacing = np.linalg.norm(affine[:3, :3], axis=0)
            sheared = "sheared" in name
            assert int(codes[1]) == said_of_it.get("sform_code", 1), name
            assert (int(codes[0]) > 0) != sheared, name
            assert image["xyz_units"] == "2", name
            for form in ("sto_xyz", "qto_xyz")[:1 if sheared else 2]:
                found = np.reshape(numbers(image[form]), (4, 4))
                assert np.allclose(found, affine, rtol=1e-5, atol=1e-3 * spacing.max()), name
        assert np.allclose(numbers(header["pixdim"])[1:4], spacing, rtol=1e-5, atol=1e-6), name


def test_nibabel_reads_new_headers_as_they_were_meant(written):
    folder, made = written
    for name, (array, said_of_it) in made.items():
        image, affine = nifti(folder / f"{name}.nii"), said_of_it.get("affine")
        assert np.array_equal(stored(folder / f"{name}.nii"), array), name
        scaling = (said_of_it.get("slope", 1), said_of_it.get("intercept", 0))
        assert np.allclose((image.dataobj.slope, image.dataobj.inter), scaling, rtol=1e-6), name
        if affine is None:
            continue
        assert np.allclose(image.get_sform(coded=True)[0], affine, rtol=1e-6, atol=1e-9), name
        assert image.header.get_xyzt_units()[0] == "mm", name
        quaternion, code = image.get_qform(coded=True)
        if "sheared" in name:
            assert quaternion is None and code == 0, name
        else:
            # Single precision has no better for half a turn about an axis that is askew.
            room = 1e-3 if "askew" in name else 1e-5
            spacing = np.linalg.norm(affine[:3, :3], axis=0).max()
            assert code > 0 and np.allclose(quaternion, affine, 1e-6, room * spacing), name

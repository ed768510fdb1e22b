"""New headers of derived volumes: what does not follow from the change stays, bit by bit.

VOLPIPE_HEADERS is the number of random headers, by default 150.
"""

import io
import os
import random

import nibabel
import numpy as np
import pytest
from frames import OPEN, FrameWriter, read_frames, volumes
from support import AFFINE, bash, nifti, ok, one_clear_line, ramp, save

COUNT = int(os.environ.get("VOLPIPE_HEADERS", 150))
LAYOUTS = {1: nibabel.nifti1.header_dtype, 2: nibabel.nifti2.header_dtype}
SIZES, FREE = {1: 348, 2: 540}, np.array([0, -2.5, np.nan, 1.5, np.inf, 3, 0.75])
TYPES = {name: np.dtype(name) for name in "u1 i2 i4 f4 f8 u2 i1 i8 c8".split()}
CODES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1", 512: "u2", 1024: "i8"}


def random_header(draw, rng, version, order, pair):
    """A header whose fields hold anything that they may hold, and the shape of its voxels."""
    layout = LAYOUTS[version].newbyteorder(order)
    header = np.frombuffer(bytearray(rng.bytes(SIZES[version])), layout).reshape(())
    real = layout["pixdim"].base
    shape = [draw.randint(3, 6) for _ in range(draw.choice([3, 4, 4, 5]))]
    code = draw.choice(list(CODES))
    for name, value in {
            "sizeof_hdr": SIZES[version], "datatype": code,
            "bitpix": 8 * TYPES[CODES[code]].itemsize,
            "vox_offset": 0 if pair else SIZES[version] + draw.choice([4, 20]),
            "xyzt_units": draw.choice([0, 2, 10, 18, 26, 1, 3, 34, 55, draw.randrange(256)]),
            "qform_code": draw.choice([-3, 0, 0, 1, 2, 5, 700]),
            "sform_code": draw.choice([-7, 0, 0, 1, 3, 4, 99]),
            "scl_slope": draw.choice([0, 1, 2.5, np.nan, 1e-6]),
            "scl_inter": draw.choice([0, -3, 7.25, np.nan]),
            "magic": b"n%c%d" % (b"+i"[pair], version)}.items():
        header[name] = value
    if version == 2:
        header["eol_check"] = list(b"\r\n\x1a\n")
    header["dim"][:len(shape) + 1] = [len(shape), *shape]
    header["pixdim"][:5] = rng.choice(FREE, 5) if draw.random() < 0.5 else rng.uniform(0.5, 4, 5)
    if draw.random() < 0.7:
        turn = rng.normal(size=4)
        for name, value in zip("bcd", turn[1:] / np.linalg.norm(turn)):
            header["quatern_" + name] = value
    rows = rng.normal(size=(3, 4)) * [2, 2, 2, 100]
    with np.errstate(all="ignore"):
        for name, row in zip("xyz", rows):
            if draw.random() < 0.7:
                header["srow_" + name] = row
                header["qoffset_" + name] = row[3]
            # Beyond this, what a region has to say is infinite.
            for field in ("srow_" + name, "qoffset_" + name):
                wild = np.abs(header[field]) > np.finfo(real).max / 100
                header[field] = np.where(wild, 1e30, header[field])
    return header, shape


@pytest.fixture(scope="module")
def derived(tools, tmp_path_factory):
    """Random files; {name: (header, shape, order, voxels)}; the frames of all, and of those of 4-D."""
    box = tmp_path_factory.mktemp("headers")
    draw, rng, known = random.Random(5), np.random.default_rng(5), {}
    for folder in ("all", "long"):
        (box / folder).mkdir()
    for number in range(COUNT):
        version, order, pair = draw.choice([1, 2]), draw.choice("<>"), draw.random() < 0.3
        header, shape = random_header(draw, rng, version, order, pair)
        name, folder = f"v{number:05}", "long" if len(shape) == 4 else "all"
        array = ramp(shape, CODES[int(header["datatype"])], number)
        offset = int(header["vox_offset"]) - SIZES[version]
        extra = b"" if pair else bytes(4) if offset == 4 else bytes(
            [1, 0, 0, 0, *np.array([16, 6], order + "i4").tobytes(), *b"comment\0"])
        voxels = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
        path = box / folder / f"{name}{'.hdr' if pair else '.nii'}"
        path.write_bytes(header.tobytes() + extra + (b"" if pair else voxels))
        if pair:
            path.with_suffix(".img").write_bytes(voxels)
        known[name] = header, shape, order, array
    for command in ("nifti-cat -q all long > all.frames", "nifti-cat -q long > long.frames",
                    "vol-write -q --obs-id '{name}' ds C < all.frames && vol-commit -q ds",
                    "vol-write -q --obs-id '{name}' ds4 C < long.frames && vol-commit -q ds4"):
        result = bash(command, box)
        assert result.status == 0, repr(result)
    return box, known


def opened(stream):
    return {header["name"]: header for kind, header, _ in read_frames(io.BytesIO(stream))
            if kind == OPEN}


def rewrite(stream, change):
    """The stream with change(header, array) for each volume, its header now a template."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for header, array in volumes(io.BytesIO(stream)):
        source = header.get("source", {})
        if "header" in source:
            source["template"] = source.pop("header")
            source.pop("header_bytes", None)
        array = change(header, array)
        writer.volume(array, **{**header, "shape": list(array.shape), "dtype": array.dtype.name})
    writer.end()
    return out.getvalue()


def check_made(box, known, folder, wanted):
    """Each file is wanted(name, header) with its voxels, where the header is a copy to change."""
    seen = 0
    for path in (box / folder).iterdir():
        header, shape, order, array = known[path.stem]
        size, data = header.nbytes, path.read_bytes()
        made = np.frombuffer(bytearray(data[:size]), header.dtype).reshape(())
        header, version = header.copy(), 1 if size == 348 else 2
        header["magic"] = b"n+%d" % version
        header["vox_offset"] = size + 4
        voxels = wanted(path.stem, header, made, array)
        differing = [name for name in header.dtype.names
                     if header[name].tobytes() != made[name].tobytes()]
        assert not differing, (path, differing, [(header[n], made[n]) for n in differing])
        assert data[size:size + 4] == bytes(4)
        assert data[size + 4:] == voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
        seen += 1
    assert path.suffix == ".nii" and seen > COUNT / 5


def check_offsets(original, header, made, at):
    """Where a form is used its offset is that of the region's first voxel; else it stays."""
    start = np.array([*at, 1.0])
    if "sform" in original:
        for name, row in zip("xyz", np.array(original["sform"])):
            np.testing.assert_allclose(made["srow_" + name][3], row @ start, rtol=1e-6,
                                       atol=1e-6 * np.abs(row * start).max())
            header["srow_" + name][3] = made["srow_" + name][3]
    if "qform" in original:
        for name, row in zip("xyz", np.array(original["qform"])):
            np.testing.assert_allclose(made["qoffset_" + name], row @ start, rtol=1e-6,
                                       atol=1e-6 * np.abs(row * start).max())
            header["qoffset_" + name] = made["qoffset_" + name]


def test_a_file_comes_back_whatever_its_header_holds(derived):
    box, known = derived
    ok("nifti-write -q -o same < all.frames; vol-cat -q ds | nifti-write -q -o stored", box)
    for path in [*(box / "all").iterdir(), *(box / "long").iterdir()]:
        for folder in ("same", "stored"):
            assert (box / folder / path.name).read_bytes() == path.read_bytes(), path


def test_a_region_changes_dim_and_the_offsets_of_the_forms_alone(derived):
    box, known = derived
    ok("vol-cat -q --roi 1:3,:2,2: ds C | tee r.frames | nifti-write -q -o regions", box)
    # A region of a stored region is one of the volume.
    ok("vol-write -q ds2 C < r.frames; vol-commit -q ds2;"
       "vol-cat -q --roi 1,: ds2 C | nifti-write -q -o twice", box)
    originals = opened((box / "all.frames").read_bytes())

    def wanted(part, at):
        def change(name, header, made, array):
            header["dim"][1:4] = array[part].shape[:3]
            check_offsets(originals[name], header, made, at)
            return array[part]
        return change

    check_made(box, known, "regions", wanted(np.s_[1:3, :2, 2:], (1, 0, 2)))
    check_made(box, known, "twice", wanted(np.s_[2:3, :2, 2:], (2, 0, 2)))


def test_a_time_changes_dim_alone_and_a_dropped_axis_too(derived):
    box, known = derived
    times = ok("vol-cat -q --time 1 ds4 C | tee t.frames | nifti-write -q -o times;"
               "cat t.frames", box).out

    def wanted(name, header, made, array):
        header["dim"][4] = 1
        return array[..., 1:2]

    check_made(box, known, "times", wanted)
    ok("nifti-write -q -o dropped", box, stdin=rewrite(times, lambda _, array: array[..., 0]))

    def without_axis(name, header, made, array):
        header["dim"][0], header["dim"][4] = 3, 1
        return array[..., 1]

    check_made(box, known, "dropped", without_axis)


def test_a_type_changes_type_and_scaling_alone(derived):
    box, known = derived

    def scale(header, array):
        slope, intercept = float(header.pop("slope", 1)), float(header.pop("intercept", 0))
        values = array.astype(np.result_type(array, "f8")) * slope + intercept
        return np.real(values).astype("f4")

    with np.errstate(all="ignore"):
        stream = rewrite((box / "all.frames").read_bytes(), scale)
        ok("tee x.frames | vol-write -q typed C; vol-commit -q typed;"
           "nifti-write -q -o typed.out < x.frames", box, stdin=stream)
        originals = opened((box / "all.frames").read_bytes())

        def wanted(name, header, made, array):
            if array.dtype != np.float32:
                header["datatype"], header["bitpix"] = 16, 32
            if "slope" in originals[name]:
                header["scl_slope"] = header["scl_inter"] = 0
            return scale(dict(originals[name]), array)

        check_made(box, known, "typed.out", wanted)


# Headers that a filter has made anew, from a template or from nothing.

TURNED = np.array([[0, -1.5, 0, 90], [2, 0, 0, -100], [0, 0, 3, -50], [0, 0, 0, 1]])


def forms(qform=None, qcode=0, sform=None, scode=0, **fields):
    def change(header):
        header.set_qform(qform, qcode)
        header.set_sform(sform, scode)
        for name, value in fields.items():
            header[name] = value
    return change


def made(box, filtered=None, kind=nibabel.Nifti1Image, stream=None, **file):
    """nibabel's image of what becomes of a file whose header and array a filter changes."""
    if stream is None:
        # Without an affine nibabel leaves the forms as they are.
        save(box / "a.nii", ramp((8, 9, 10)), affine=None, **file)
        stream = ok("nifti-cat -q a.nii", box).out
    if filtered:
        stream = rewrite(stream, filtered)
    ok("nifti-write -q -f -o out", box, stdin=stream)
    [path] = (box / "out").iterdir()
    return kind.from_bytes(path.read_bytes())


def without_source(header, array):
    header.pop("source")
    return array


KEPT = {
    "no forms": forms(pixdim=[1, 3, 3, 4, 1, 1, 1, 1]),
    "no forms, no unit": forms(xyzt_units=0),
    "sform only": forms(sform=AFFINE, scode=4, pixdim=[1, 2, 2.502, 3.0067, 1, 1, 1, 1]),
    "qform only": forms(qform=TURNED, qcode=3),
    "both": forms(qform=TURNED, qcode=1, sform=TURNED, scode=2),
    "metres": forms(qform=TURNED, qcode=1, sform=TURNED, scode=1, xyzt_units=1),
    "no unit": forms(sform=TURNED, scode=1, qform=TURNED, qcode=1, xyzt_units=0),
    "milliseconds": forms(qform=TURNED, qcode=1, sform=TURNED, scode=1, xyzt_units=18),
}


@pytest.mark.parametrize("what", KEPT)
def test_a_header_from_nothing_has_the_forms_codes_and_units_of_the_source(box, what):
    save(box / "a.nii", ramp((8, 9, 10)), affine=None, change=KEPT[what])
    header = made(box, without_source, stream=ok("nifti-cat -q a.nii", box).out).header
    given = nifti(box / "a.nii").header
    for name in ("qform_code", "sform_code", "xyzt_units"):
        assert header[name] == given[name], name
    np.testing.assert_allclose(header["pixdim"][1:4], given["pixdim"][1:4], rtol=1e-3)
    for form in ("qform", "sform"):
        wanted = getattr(given, f"get_{form}")(coded=True)[0]
        found = getattr(header, f"get_{form}")(coded=True)[0]
        assert (wanted is None) == (found is None)
        assert wanted is None or np.allclose(wanted, found, atol=1e-4)


def test_an_affine_alone_becomes_an_sform_and_where_it_can_a_qform(box):
    np.save(box / "a.npy", ramp((4, 5, 6)))
    for matrix, qcode in ((TURNED, 1), (AFFINE, 0)):
        numbers = ",".join(map(str, matrix[:3].ravel()))
        header = made(box, stream=ok(f"npy-cat -q --affine={numbers} a.npy", box).out).header
        assert (header["sform_code"], header["qform_code"]) == (1, qcode)
        assert header["xyzt_units"] == 2 and np.allclose(header.get_sform(), matrix)
        assert not qcode or np.allclose(header.get_qform(), matrix, atol=1e-4)


def test_a_region_of_analyze_has_its_spacing_and_no_orientation(box):
    header = nibabel.AnalyzeHeader(endianness=">")
    header.set_data_dtype("i2")
    image = nibabel.AnalyzeImage(ramp((8, 9, 10)), None, header)
    image.header["pixdim"][1:5] = [2, 3, 4, 5]
    nibabel.save(image, box / "a.img")
    ok("vol-write -q --obs-id a ds C; vol-commit -q ds; vol-cat --nifti --roi 1:3 ds C a > r.nii",
       box, stdin=bash("nifti-cat -q a.hdr", box).out)
    header = nifti(box / "r.nii").header
    assert header["qform_code"] == header["sform_code"] == header["xyzt_units"] == 0
    assert list(header["pixdim"][1:5]) == [2, 3, 4, 5] and header["dim"][1] == 2


def test_an_axis_too_long_for_the_template_makes_a_header_from_nothing(box):
    header = made(box, lambda header, array: ramp((40_000, 1, 1)), nibabel.Nifti2Image,
                  change=forms(qform=TURNED, qcode=2)).header
    assert header["dim"][1] == 40_000 and (header["qform_code"], header["sform_code"]) == (2, 0)
    assert np.allclose(header.get_qform(), TURNED, atol=1e-6)


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("version", [1, 2])
def test_a_template_moves_with_what_a_filter_makes_of_the_axes(box, version, endian):
    """Every second voxel, then the first axis turned round, then two axes swapped."""
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    change = forms(qform=TURNED, qcode=1, sform=TURNED + np.eye(4, k=3) * 2, scode=4, descrip=b"d",
                   slice_code=3, toffset=2.5)
    steps = {"thin": np.diag([2, 1, 1, 1.0]), "turn": np.diag([-1, 1, 1, 1.0]),
             "swap": np.eye(4)[[1, 0, 2, 3]]}
    steps["turn"][0, 3] = 7
    parts = {"thin": lambda a: a[::2], "turn": lambda a: a[::-1], "swap": lambda a: a.swapaxes(0, 1)}
    for name, step in steps.items():
        def moved(header, array):
            spacing = np.diag([*header["voxel_spacing"], 1]) @ step
            for key in ("affine", "sform", "qform"):
                header[key] = (np.array(header[key]) @ step).tolist()
            header["voxel_spacing"] = np.linalg.norm(spacing[:3, :3], axis=0).tolist()
            return parts[name](array)

        image = made(box, moved, kind, version=version, endian=endian, change=change)
        given, header = nifti(box / "a.nii"), image.header
        assert np.array_equal(image.dataobj, parts[name](np.asarray(given.dataobj))), name
        assert np.allclose(header.get_qform(), given.header.get_qform() @ step, atol=1e-4), name
        assert np.allclose(header.get_sform(), given.header.get_sform() @ step, atol=1e-4), name
        may = {"dim", "pixdim", *(f"quatern_{axis}" for axis in "bcd"),
               *(f"{field}_{axis}" for field in ("srow", "qoffset") for axis in "xyz")}
        if name == "thin":
            may = {"dim", "pixdim", "srow_x", "srow_y", "srow_z"}
        for field in set(header.keys()) - may:
            assert header[field].tobytes() == given.header[field].tobytes(), (name, field)


def test_what_a_filter_says_of_time_units_intent_and_text_is_written(box):
    def change(header, array):
        header |= {"repetition_time": 1.5, "description": "other",
                   "units": {"space": "mm", "time": "ms", "code": 18},
                   "intent": {"code": 5, "parameters": [1, 2, 3], "name": "Z"},
                   "slope": 0.5, "intercept": 1}
        return array[..., None].repeat(2, 3)

    image = made(box, change)
    header = image.header
    assert header["pixdim"][4] == 1500 and header["xyzt_units"] == 18
    assert header["descrip"] == b"other" and header["intent_name"] == b"Z"
    assert header["intent_code"] == 5 and header["intent_p3"] == 3
    assert (image.dataobj.slope, image.dataobj.inter) == (0.5, 1)


def test_what_nifti_cannot_hold_is_refused(box):
    for key, value in {"slope": 1e-60, "slope ": 1e60, "repetition_time": -2.0}.items():
        def change(header, array):
            header[key.strip()] = value
            return array[..., None]

        save(box / "a.nii", ramp((4, 3, 2)))
        stream = rewrite(ok("nifti-cat -q a.nii", box).out, change)
        result = bash("nifti-write -q -o out", box, stdin=stream)
        assert result.status == 65 and not list(box.glob("out/*"))
        one_clear_line(result, "nifti-write", "'a'", f"'{key.strip()}'")


# Headers that contradict themselves.

TOOLS = {"vol-write": "vol-write -q ds C", "vol-ls": "vol-ls -", "nifti-write": "nifti-write -q -o out"}


def reworded(stream, change):
    """The stream with another open header, whose source is still that of the file."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for kind, header, body in read_frames(io.BytesIO(stream)):
        if kind == OPEN:
            change(header)
        writer.frame(kind, header or None, body)
    return out.getvalue()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_filter_that_forgets_a_key_is_told_which(box, tool):
    save(box / "a.nii", ramp((8, 9, 10)), affine=None, change=forms(TURNED, 1, AFFINE, 2))
    stream = ok("nifti-cat -q a.nii", box).out
    template = rewrite(stream, lambda header, array: array)

    def shift(header):
        header["affine"][0][3] += 10

    cases = {
        "'affine'": reworded(stream, shift),
        "'description'": reworded(stream, lambda header: header.update(description="new")),
        "'qform'": reworded(template, lambda header: (
            shift(header), header.update(sform=header["affine"]))),
        "'sform'": reworded(template, shift),
        "'voxel_spacing'": reworded(
            template, lambda header: header.update(voxel_spacing=[1, 2, 3])),
        "'affine_source'": reworded(template, lambda header: header.pop("sform")),
    }
    for key, bad in cases.items():
        result = bash(TOOLS[tool], box, stdin=bad)
        assert result.status == 65 and result.out == b"", repr(result)
        one_clear_line(result, tool, "'a'", key)
    assert not list(box.glob("ds/stages/*")) and not list(box.glob("out/*"))
    ok(TOOLS[tool], box, stdin=stream)
    ok(TOOLS[tool].replace("ds", "ds2").replace("out", "out2"), box, stdin=template)


def test_source_bytes_that_are_not_those_of_the_header_are_refused(box):
    save(box / "a.nii", ramp((4, 3, 2)))
    stream, out = ok("nifti-cat -q a.nii", box).out, io.BytesIO()
    writer = FrameWriter(out)
    for kind, header, body in read_frames(io.BytesIO(stream)):
        writer.frame(kind, header or None, bytes(len(body)) if len(body) == 352 else body)
    result = bash("nifti-write -q -o out", box, stdin=out.getvalue())
    assert result.status == 65 and not list(box.glob("out/*"))
    one_clear_line(result, "nifti-write", "'a'", "source.header")

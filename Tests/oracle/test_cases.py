"""What nifti-cat(1) says of headers: read, read with a quirk, or refused, and never a guess."""

import base64
import io

import numpy as np
import pytest
from cases import (
    BE, FORMS, INF, NAN, SHAPE, V2, V2_BE, append, build, check, cut, every, extensions, forms, gz,
    put, quirk, read, refused, rows, splice, zst,
)
from frames import volumes
from support import AFFINE, ok, ramp, rgb
from test_cases_files import CASES as FILES

TYPES = "i1 u1 i2 u2 i4 u4 i8 u8 f4 f8 c8 c16".split()
PACKED = (("", "x.nii", bytes), ("_gz", "x.nii.gz", gz), ("_zst", "x.nii.zst", zst))
AXES = (5, 4, 3, 2, 3, 2, 2)
UNSCALED = {"slope": None, "intercept": None}
PIXDIM = {0: 1, 1: 2, 2: 2.5, 3: 3}
# Without a form, with a qform alone, and the affines that these have.
FORMLESS = put(qform_code=0, sform_code=0, pixdim=PIXDIM)
CENTRED = np.array([[-2, 0, 0, 4], [0, 2.5, 0, -3.75], [0, 0, 3, -3], [0, 0, 0, 1]])
QFORM = put(qform_code=1, sform_code=0, pixdim=PIXDIM, quatern_b=0, quatern_c=0, quatern_d=0,
            qoffset_x=30, qoffset_y=-40, qoffset_z=7)
TURNED = put(qform_code=1, sform_code=0, pixdim=PIXDIM, quatern_b=0.1, quatern_c=-0.2,
             quatern_d=0.7)
STRAIGHT = np.array([[2, 0, 0, 30], [0, 2.5, 0, -40], [0, 0, 3, 7], [0, 0, 0, 1]])
FROM_QFORM, FROM_PIXDIM = ({"affine_source": source} for source in ("qform", "pixdim"))


def times(factor, affine=AFFINE):
    return np.diag([factor, factor, factor, 1]) @ affine


def spaced(unit, factor):
    """Units of space: answers in millimetres, where nibabel gives the numbers of the file."""
    return read(put(xyzt_units=unit, pixdim=PIXDIM), answer=times(factor),
                says={"voxel_spacing": [2 * factor, 2.5 * factor, 3 * factor]})


def timed(code, unit, step, seconds):
    return read(put(xyzt_units=code + 2, pixdim={4: step}), array=ramp((*SHAPE, 2)),
                says={"repetition_time": seconds,
                      "units": {"space": "mm", "time": unit, "code": code + 2}})


def intent(code, shape, name, parameters=(0, 0, 0), **form):
    p1, p2, p3 = parameters
    return read(put(intent_code=code, intent_p1=p1, intent_p2=p2, intent_p3=p3, intent_name=name),
                array=ramp(shape, "f4"), **form,
                says={"intent": {"code": code, "parameters": [p1, p2, p3], "name": name}})


def no_scaling(slope, intercept, **made):
    return read(put(scl_slope=slope, scl_inter=intercept), says=UNSCALED, **made)


def squeezed(offset, **form):
    """Voxels that begin where the header ends, or shortly after."""
    size = 540 if form.get("version") == 2 else 348
    return quirk(f"vox_offset is {offset}", put(vox_offset=offset), splice(offset, size + 4, b""),
                 answer=AFFINE, **form)


def dims(*axes):
    return put(dim=dict(enumerate(axes)))


CASES = {
    "The datatypes are": {
        **{f"type_{code}_{form}": read(array=ramp(SHAPE, code), **FORMS[form])
           for code in TYPES for form in ("v1_little", "v1_big", "v2_little")},
        **forms("rgb24", read, array=rgb(SHAPE), says={"channels": 3, "dtype": "uint8"}),
        **forms("rgba32", read, array=rgb(SHAPE, 4), says={"channels": 4, "dtype": "uint8"}),
    },
    # Its case has two quirks, each of which is told.
    "A file that departs": {
        "bitpix_disagrees_and_offset_zero": quirk(
            ("bitpix", "vox_offset is 0"), put(bitpix=8, vox_offset=0), answer=AFFINE),
    },
    "1 to 7 axes": {
        **{f"axes_{count}": read(array=ramp(AXES[:count]), says={"shape": list(AXES[:count])})
           for count in range(1, 8)},
        "axes_7_v2_big": read(array=ramp(AXES), **V2_BE),
        "one_voxel": read(array=ramp((1,))),
        "one_slice": read(array=ramp((5, 4, 1)), says={"shape": [5, 4, 1]}),
        "trailing_one": read(array=ramp((5, 4, 3, 1)), says={"shape": [5, 4, 3, 1]}),
        "dims_above_the_count_zero": read(put(dim={4: 0, 5: 0, 6: 0, 7: 0})),
        "dims_above_the_count_garbage": read(put(dim={4: -7, 5: 0, 6: 99, 7: -1})),
        "axis_too_long_for_v1": read(array=ramp((40_000, 2)), **V2),
    },
    "every intent code": {
        "vectors_5d": intent(1007, (5, 4, 3, 1, 3), "shift", (1.5, -2, 0.25)),
        "vectors_5d_v2_big": intent(1007, (5, 4, 3, 1, 3), "shift", (1.5, -2, 0.25), **V2_BE),
        "cifti_6d": intent(3002, (1, 1, 1, 1, 10, 20), "ConnDenseSeries", **V2),
        "intent_unknown": intent(32_000, SHAPE, "sixteen letters!"),
    },
    "extensions and any gap": {
        **forms("extension", read, extensions((32, bytes(24)))),
        "extensions_two": read(extensions((32, b"a" * 24), (16, b"b" * 8))),
        # nibabel takes the zeros for an extension of length 0.
        "extension_then_zeros": read(extensions((16, b"b" * 8), bytes(48)), answer=AFFINE),
        "gap": read(extensions(b"\xa5" * 48, flag=0)),
        "gap_of_a_megabyte": read(extensions(bytes(1 << 20), flag=0)),
        "bytes_after_the_voxels": read(append(b"more")),
        "bytes_after_the_voxels_gz": read(append(b"more"), files={"x.nii.gz": gz}),
    },
    "beyond the header": {
        "offset_of_sixteen": read(extensions(bytes(16), flag=0)),
        "offset_not_of_sixteen": read(extensions(b"12345", flag=0)),
        "offset_not_of_sixteen_v2_big": read(extensions(b"12345", flag=0), **V2_BE),
    },
    "finite and not 0: slope": {
        "slope_and_intercept": read(put(scl_slope=0.5, scl_inter=-1024),
                                    says={"slope": 0.5, "intercept": -1024}),
        "slope_alone_v2": read(put(scl_slope=-0.1, scl_inter=0), says={"slope": -0.1}, **V2),
        "slope_big_endian": read(put(scl_slope=2, scl_inter=3), says={"slope": 2}, **BE),
        "slope_one": read(put(scl_slope=1, scl_inter=0), says={"slope": 1, "intercept": 0}),
    },
    "any slope on colours": {
        "slope_zero": no_scaling(0, 0),
        "slope_zero_with_intercept": no_scaling(0, 10),
        "slope_zero_with_intercept_nan": no_scaling(0, NAN),
        "slope_nan": no_scaling(NAN, 3),
        "slope_infinite": no_scaling(INF, 3),
        "slope_infinite_negative_v2": no_scaling(-INF, 3, **V2),
        # nibabel would scale them.
        "slope_on_rgb24": no_scaling(2, 1, array=rgb(SHAPE), answer=AFFINE),
        "slope_on_rgba32": no_scaling(2, NAN, array=rgb(SHAPE, 4), answer=AFFINE),
    },
    "pixdim[0] of 0": {
        "qfac_zero": read(QFORM, put(pixdim={0: 0}), says=FROM_QFORM),
        "qfac_zero_turned": read(TURNED, put(pixdim={0: 0})),
    },
    "an sform that shears": {
        "sform_shears": read(put(srow_x=[2, 1, 0.5, -30], srow_y=[0, 2, 0.7, 4])),
    },
    "a qform and an sform that disagree": {
        "forms_disagree": read(QFORM, put(sform_code=2), says={
            "affine_source": "sform", "qform": STRAIGHT.tolist(), "qform_code": 1,
            "sform_code": 2}),
    },
    "form codes over 5": {
        # nibabel takes codes that it does not know for 0.
        "form_codes_over_5": read(put(qform_code=9, sform_code=77), answer=AFFINE, says={
            "affine_source": "sform", "qform_code": 9, "sform_code": 77}),
        "qform_code_over_5": read(QFORM, put(qform_code=9), answer=STRAIGHT, says=FROM_QFORM),
        "sform_code_negative": read(QFORM, put(sform_code=-1), answer=STRAIGHT, says={
            "affine_source": "qform", "sform": None}),
        "form_codes_negative": read(FORMLESS, put(qform_code=-1, sform_code=-300), answer=CENTRED,
                                    says={"affine_source": "pixdim", "qform": None}),
    },
    "unit codes that are unknown": {
        "unit_of_space_unknown": read(put(xyzt_units=7 + 8, pixdim=PIXDIM), says={
            "units": {"time": "s", "code": 15}, "voxel_spacing": [2, 2.5, 3]}),
        "unit_of_time_unknown": read(put(xyzt_units=2 + 56), says={
            "units": {"space": "mm", "code": 58}, "repetition_time": None}),
        "units_all_bits": read(put(xyzt_units=255, pixdim=PIXDIM), says={
            "units": {"code": 255}, "voxel_spacing": [2, 2.5, 3]}),
        "units_over_a_byte_v2": read(put(xyzt_units=0x1_0007), **V2, says={
            "units": {"code": 0x1_0007}}),
    },
    "Analyze 7.5: the orientation": {
        **{f"analyze_{word}": quirk("orientation is unknown", analyze=True, endian=endian, says={
            **UNSCALED, **FROM_PIXDIM, "qform_code": 0, "sform_code": 0})
           for word, endian in (("little", "<"), ("big", ">"))},
        "analyze_named_by_its_image": quirk("orientation is unknown", analyze=True, path="x.img",
                                            named="x."),
        # SPM has a scale where NIfTI has the slope.
        **{f"analyze_with_a_scale_of_spm_{word}": quirk(
            "orientation is unknown", put(scl_slope=0.5, scl_inter=-3), analyze=True,
            endian=endian, says=UNSCALED) for word, endian in (("little", "<"), ("big", ">"))},
        # It has an origin where NIfTI has the codes of the forms.
        "analyze_with_an_origin": quirk("orientation is unknown", put(
            qform_code=1, sform_code=2, pixdim=PIXDIM), analyze=True, answer=CENTRED, says={
            **FROM_PIXDIM, "qform_code": 0, "sform_code": 0, "qform": None, "sform": None}),
    },
    "sizeof_hdr wrong": {
        # By sizeof_hdr, nibabel tells the versions apart.
        **forms("sizeof_hdr_zero", quirk, "sizeof_hdr", put(sizeof_hdr=0), answer=AFFINE),
        "sizeof_hdr_of_v2_in_v1": quirk("sizeof_hdr", put(sizeof_hdr=540), answer=AFFINE),
        "sizeof_hdr_of_v1_in_v2": quirk("sizeof_hdr", put(sizeof_hdr=348), answer=AFFINE, **V2),
        "sizeof_hdr_zero_in_a_pair": quirk("sizeof_hdr", put(sizeof_hdr=0), pair=True,
                                           answer=AFFINE),
    },
    "bitpix disagrees": {
        **forms("bitpix_8", quirk, "bitpix is 8", put(bitpix=8)),
        "bitpix_zero": quirk("bitpix is 0", put(bitpix=0)),
        "bitpix_of_rgb24": quirk("bitpix is 8", put(bitpix=8), array=rgb(SHAPE)),
    },
    "an axis of length 0 or less": {
        # nibabel counts no voxels.
        "axis_zero_that_fits": quirk("dim[4]", put(dim={4: 0}), array=ramp((*SHAPE, 1)),
                                     answer=AFFINE),
        "axis_negative_that_fits": quirk("dim[1]", put(dim={1: -5}), array=ramp((1, 4, 3)),
                                         answer=AFFINE),
        "axis_zero_that_fits_v2_big": quirk("dim[2]", put(dim={2: 0}), array=ramp((5, 1, 3)),
                                            answer=AFFINE, **V2_BE),
        "axis_zero_that_fits_gz": quirk("dim[4]", put(dim={4: 0}), array=ramp((*SHAPE, 1)),
                                        answer=AFFINE, files={"x.nii.gz": gz}),
        "axis_zero_that_fits_zst": quirk("dim[4]", put(dim={4: 0}), array=ramp((*SHAPE, 1)),
                                         answer=AFFINE, files={"x.nii.zst": zst}),
        "axis_zero_with_too_many_bytes": refused("dimension", put(dim={1: 0})),
        "axis_negative_with_too_few_bytes": refused("voxels", put(dim={4: -1}), cut(2),
                                                    array=ramp((*SHAPE, 1))),
        # Compressed, the file's length shows only after the warning.
        **{f"axis_zero_with_too_many_bytes_{end}": refused(
            "dimension", put(dim={1: 0}), files={f"x.nii.{end}": pack}, options="-q")
           for end, pack in (("gz", gz), ("zst", zst))},
        **{f"axis_negative_with_too_few_bytes_{end}": refused(
            "voxels", put(dim={4: -1}), cut(2), array=ramp((*SHAPE, 1)), options="-q",
            files={f"x.nii.{end}": pack}) for end, pack in (("gz", gz), ("zst", zst))},
    },
    # nibabel writes such lengths as FreeSurfer does, and reads them.
    "FreeSurfer keeps in glmin": {
        "freesurfer_glmin": quirk("glmin", array=ramp((40_000, 1, 1), "u1"),
                                  says={"shape": [40_000, 1, 1]}),
        "freesurfer_glmin_big_endian": quirk("glmin", array=ramp((40_000, 1, 1), "f4"), **BE),
        "freesurfer_ico7": quirk("163842", array=ramp((163_842, 1, 1), "u1"),
                                 says={"shape": [163_842, 1, 1]}),
    },
    # nibabel refuses such offsets, or reads voxels from the header.
    "vox_offset of 0 in a single file": {
        **forms("offset_zero", quirk, "vox_offset is 0", put(vox_offset=0), answer=AFFINE),
        "offset_zero_gz": quirk("vox_offset is 0", put(vox_offset=0), answer=AFFINE,
                                files={"x.nii.gz": gz}),
    },
    "vox_offset with a fraction": {
        "offset_fractional": quirk("352.5", put(vox_offset=352.5)),
        "offset_fractional_big_endian": quirk("352.25", put(vox_offset=352.25), **BE),
    },
    "vox_offset of 348 to 351": {
        **{f"offset_{offset}_that_fits": squeezed(offset) for offset in (348, 349, 351)},
        "offset_348_that_fits_big_endian": squeezed(348, **BE),
        "offset_540_that_fits": squeezed(540, **V2),
        "offset_543_that_fits_big_endian": squeezed(543, **V2_BE),
    },
    "scl_inter NaN": {
        # nibabel refuses an intercept that is not a number.
        "intercept_nan": quirk("scl_inter", put(scl_slope=1, scl_inter=NAN), answer=AFFINE,
                               says=UNSCALED),
        "intercept_infinite_v2": quirk("scl_inter", put(scl_slope=2, scl_inter=-INF),
                                       answer=AFFINE, says=UNSCALED, **V2),
    },
    "pixdim of X, Y or Z negative": {
        "pixdim_negative": quirk("pixdim[1]", FORMLESS, put(pixdim={1: -2}),
                                 says={"voxel_spacing": [2, 2.5, 3]}),
        "pixdim_negative_under_a_qform": quirk("pixdim[3]", QFORM, put(pixdim={3: -3}),
                                               answer=STRAIGHT),
        "pixdim_negative_under_an_sform": quirk("pixdim[2]", put(pixdim={2: -2.5})),
        **{f"pixdim_{word}": quirk(
            "pixdim[3]", FORMLESS, put(pixdim={3: value}), says={"voxel_spacing": [2, 2.5, 1]},
            answer=CENTRED * np.array([[1], [1], [1 / 3], [1]]))
           for word, value in (("zero", 0), ("nan", NAN), ("infinite", INF))},
    },
    "a quaternion longer than 1": {
        # nibabel refuses it. Half a turn about (1, 1, 1), and about X.
        **forms("quaternion_too_long", quirk, "quaternion", QFORM,
                put(quatern_b=0.9, quatern_c=0.9, quatern_d=0.9), says=FROM_QFORM,
                answer=np.block([[(np.full((3, 3), 2 / 3) - np.eye(3)) * [2, 2.5, 3],
                                  STRAIGHT[:3, 3:]], [STRAIGHT[3]]])),
        "quaternion_too_long_by_a_thousandth": quirk(
            "quaternion", QFORM, put(quatern_b=1.001), answer=STRAIGHT * [1, -1, -1, 1]),
    },
    "an sform without rotation and spacings, or not finite": {
        # nibabel gives the affine that is not one.
        "sform_zero_before_a_qform": quirk(
            "sform", QFORM, put(sform_code=2, srow_x=0, srow_y=0, srow_z=0), answer=STRAIGHT,
            says={**FROM_QFORM, "sform": None}),
        "sform_zero_before_pixdim": quirk(
            "sform", FORMLESS, put(sform_code=2, srow_x=0, srow_y=0, srow_z=0), answer=CENTRED,
            says={**FROM_PIXDIM, "sform": None}),
        "sform_nan": quirk("sform", QFORM, put(sform_code=1, srow_y={1: NAN}), answer=STRAIGHT,
                           says=FROM_QFORM),
        "sform_infinite_v2": quirk("sform", QFORM, put(sform_code=1, srow_z={3: INF}),
                                   answer=STRAIGHT, says=FROM_QFORM, **V2),
        "qform_nan": quirk("qform", QFORM, put(quatern_c=NAN), answer=CENTRED,
                           says={**FROM_PIXDIM, "qform": None}),
        "qform_offset_infinite": quirk("qform", QFORM, put(qoffset_z=INF), answer=CENTRED,
                                       says=FROM_PIXDIM),
        "qform_nan_under_an_sform": quirk("qform", put(qform_code=1, quatern_c=NAN), answer=AFFINE,
                                          says={"affine_source": "sform", "qform": None}),
    },
    # nibabel refuses most of these.
    "extensions that are damaged": {
        **forms("extension_runs_past_the_voxels", quirk, "runs into the voxels",
                extensions((3200, bytes(24))), answer=AFFINE),
        **{f"extension_size_{word}": quirk(f"the length {size}", extensions((size, bytes(24))),
                                           answer=AFFINE)
           for word, size in (("not_of_sixteen", 19), ("too_small", 8), ("zero", 0),
                              ("negative", -16))},
        "extension_second_damaged": quirk(
            "the length 999", extensions((16, bytes(8)), (999, bytes(8))), answer=AFFINE),
        "extension_flag_without_room": quirk("there are none", extensions(), answer=AFFINE),
        "extension_damaged_gz": quirk("runs into", extensions((3200, bytes(24))), answer=AFFINE,
                                      files={"x.nii.gz": gz}),
        "extension_damaged_in_a_pair": quirk("runs into", extensions((3200, bytes(24))),
                                             answer=AFFINE, pair=True),
    },
    "not NIfTI or Analyze": {
        "empty": refused("empty", splice(0, None, b"")),
        "text": refused("NIfTI", splice(0, None, b"This is not an image.\n" * 40)),
        "zeros": refused("NIfTI", splice(0, None, bytes(1000))),
        "shorter_than_a_header": refused("200 bytes", splice(200, None, b"")),
        "shorter_by_one_than_a_header": refused("347 bytes", splice(347, None, b"")),
        "shorter_than_a_header_of_v2": refused("400 bytes", splice(400, None, b""), **V2),
        **{f"magic_{magic.decode()}": refused("magic", put(magic=magic))
           for magic in (b"n+9", b"ni9", b"n-1", b"n+1x")},
        **{f"magic_{magic.decode()}_of_v2_{word}": refused("magic", put(magic=magic), **form)
           for magic in (b"n+9", b"ni") for word, form in (("little", V2), ("big", V2_BE))},
        **{f"magic_mangled_{word}": refused("mangled", put(eol_check=tail), **V2)
           for word, tail in (("to_lf", [10, 10, 26, 10]), ("to_crlf", [13, 13, 10, 26]),
                              ("to_zero", [0, 0, 0, 0]))},
        "magic_mangled_with_a_byte_less": refused("mangled", splice(8, 10, b"\n"), **V2),
    },
    "datatypes 0 (unknown)": {
        **{f"type_{code}": refused(f"datatype {code} ", put(datatype=code, bitpix=bits))
           for code, bits in ((0, 0), (1, 1), (255, 0), (1536, 128), (2048, 256), (17, 16),
                              (-4, 16))},
        "type_float128_v2_big": refused("datatype 1536 ", put(datatype=1536, bitpix=128), **V2_BE),
        "type_binary_analyze": refused("datatype 1 ", put(datatype=1, bitpix=1), analyze=True),
    },
    "outside 1 to 7": {
        **{name: case for word, count in (("zero", 0), ("eight", 8), ("negative", -1))
           for name, case in forms(f"count_of_axes_{word}", refused, "dim[0]",
                                   put(dim={0: count})).items()},
        "count_of_axes_too_large_for_v1": refused("dim[0]", put(dim={0: 2**40 + 3}), **V2),
        "count_of_axes_zero_analyze": refused("NIfTI", put(dim={0: 0}), analyze=True),
    },
    "vox_offset NaN, infinite": {
        **{f"offset_{word}": refused(("vox_offset", said), put(vox_offset=value))
           for word, value, said in (
               ("nan", NAN, "nan"), ("infinite", INF, "inf"), ("minus_infinite", -INF, "-inf"),
               ("negative", -352, "-352"), ("mad", 1e30, "e+30"),
               ("past_the_end", 1e6, "past its end"), ("in_the_header", 100, "inside"),
               ("348_that_does_not_fit", 348, "inside"), ("351_that_does_not_fit", 351, "inside"))},
        **{f"offset_{word}_v2": refused(("vox_offset", said), put(vox_offset=value), **V2)
           for word, value, said in (
               ("negative", -1, "-1"), ("mad", 2**63 - 1, "e+18"),
               ("past_the_end", 2**40, "past its end"), ("540_that_does_not_fit", 540, "inside"))},
        **{f"offset_past_the_end_{end}": refused(
            "ends before vox_offset 1000000", put(vox_offset=1e6), files={f"x.nii.{end}": pack})
           for end, pack in (("gz", gz), ("zst", zst))},
        "offset_mad_v2_gz": refused("ends before vox_offset", put(vox_offset=2**61),
                                    files={"x.nii.gz": gz}, **V2),
        "offset_348_that_fits_gz": refused(("vox_offset", "inside"), put(vox_offset=348),
                                           splice(348, 352, b""), files={"x.nii.gz": gz}),
        "offset_past_the_end_of_the_image": refused(("vox_offset", "past its end"),
                                                    put(vox_offset=1e6), pair=True, named="x."),
        "offset_negative_in_a_pair": refused(("vox_offset", "-16"), put(vox_offset=-16), pair=True),
    },
    "fewer voxels than": {
        **{f"voxels_{word}{end}": refused("voxels", cut(count), files={name: pack})
           for word, count in (("cut_by_a_byte", 1), ("missing", 120))
           for end, name, pack in PACKED},
        "voxels_and_flag_missing": refused("past its end", splice(348, None, b"")),
        "voxels_missing_in_a_pair": refused("voxels", image=[cut(1)], pair=True, named="x."),
        "image_empty": refused("voxels", image=[splice(0, None, b"")], pair=True, named="x."),
        **{f"axes_of_32767{end}": refused("voxels", dims(3, *[32767] * 3), files={name: pack})
           for end, name, pack in PACKED},
        "axes_of_32767_four": refused("2^53", dims(4, *[32767] * 4)),
        "axes_of_32767_seven_gz": refused("2^53", dims(7, *[32767] * 7), files={"x.nii.gz": gz}),
        "axis_of_2_53_bytes_v2": refused("voxels", dims(1, 2**52), files={"x.nii.gz": gz}, **V2),
        "axis_over_2_53_bytes_v2": refused("2^53", dims(1, 2**52 + 1), **V2),
        "axes_that_overflow_v2": refused("2^53", dims(3, 2**62, 2**62, 16), **V2_BE),
        "axis_longest_v2": refused("2^53", dims(1, 2**63 - 1), **V2),
    },
    "names the unit of space": {
        "unit_of_space_none": read(put(xyzt_units=8, pixdim=PIXDIM), says={
            "units": {"time": "s", "code": 8}, "voxel_spacing": [2, 2.5, 3]}),
        "units_none": read(put(xyzt_units=0, pixdim=PIXDIM), says={"voxel_spacing": [2, 2.5, 3]}),
        "unit_metre": spaced(1, 1000),
        "unit_millimetre": spaced(2, 1),
        "unit_micrometre": spaced(3, 0.001),
        "unit_metre_under_a_qform_v2": read(QFORM, put(xyzt_units=1), answer=times(1000, STRAIGHT),
                                            says={"qform": STRAIGHT.tolist()}, **V2_BE),
        "unit_micrometre_of_pixdim": read(FORMLESS, put(xyzt_units=3),
                                          answer=times(0.001, CENTRED)),
        "unit_second": timed(8, "s", 2, 2),
        "unit_millisecond": timed(16, "ms", 2000, 2),
        "unit_microsecond": timed(24, "us", 2e6, 2),
        "unit_hertz": timed(32, "Hz", 2, None),
        "unit_ppm": timed(40, "ppm", 2, None),
        "unit_radians_a_second": timed(48, "rad/s", 2, None),
    },
    "the sform, if": {
        **{f"sform_code_{code}": read(put(sform_code=code), says={
            "affine_source": "sform", "sform_code": code}) for code in range(1, 6)},
        "sform_v2_big": read(says={"affine_source": "sform"}, **V2_BE),
    },
    "the qform, if": {
        "qform_alone": read(QFORM, says={**FROM_QFORM, "sform": None}),
        "qform_turned": read(TURNED, says=FROM_QFORM),
        "qform_turned_v2_big": read(TURNED, says=FROM_QFORM, **V2_BE),
        "qform_mirrored": read(TURNED, put(pixdim={0: -1}), says=FROM_QFORM),
        "qform_half_turn": read(QFORM, put(quatern_b=1), says=FROM_QFORM),
    },
    "made from pixdim": {
        "forms_none": read(FORMLESS, says={**FROM_PIXDIM, "qform": None, "sform": None}),
        "forms_none_in_a_plane": read(FORMLESS, array=ramp((5, 4)), says=FROM_PIXDIM),
    },
}


@pytest.mark.filterwarnings("ignore:Using large vector Freesurfer hack")
@every(CASES)
def test_header_is_read_or_refused_as_the_manual_says(box, case):
    check(case, box)


def test_every_row_of_the_manual_has_cases_and_every_case_a_row():
    listed, outcomes = rows(), {}
    for key, cases in [*CASES.items(), *FILES.items()]:
        outcomes.setdefault(key, set()).update(case.outcome for case in cases.values())
    for key, found in outcomes.items():
        [(outcome, text)] = [row for row in listed if key in row[1]]
        # A row may also say of what it reads when it is refused.
        assert outcome in found and all(other in (outcome, *text.split()) for other in found), text
    for outcome, text in listed:
        assert sum(key in text for key in outcomes) == 1, f"{outcome}: {text}"
    names = [name for table in (CASES, FILES) for cases in table.values() for name in cases]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("form, size, files", [
    ({}, 348, None), (BE, 348, {"x.nii.gz": gz}), (V2, 540, None), (V2_BE, 540, {"x.nii.gz": gz}),
    ({"pair": True}, 348, None), ({"analyze": True}, 348, None),
    ({"analyze": True, "endian": ">"}, 348, {"x.hdr.gz": gz, "x.img.gz": gz}),
], ids=["v1", "v1_big_gz", "v2", "v2_big_gz", "pair", "analyze", "analyze_big_gz"])
def test_header_travels_raw_in_base64(box, form, size, files):
    case = read(put(descrip="as it is", scl_slope=NAN), files=files, **form)
    work = build(case, box)
    [(header, _)] = volumes(io.BytesIO(ok(f"nifti-cat -q {case.path}", work).out))
    [plain] = [path for path in (box / "plain").iterdir() if path.suffix != ".img"]
    assert base64.b64decode(header["source"]["header"], validate=True) == plain.read_bytes()[:size]

"""frame-filter: what passes, by expression and by list."""

import io

import pytest
from frames import CLOSE, DROP, END, FrameWriter, read_frames, volumes
from support import bash, ok, one_clear_line, ramp

HEADERS = {
    "a": {"shape": [5, 4, 3], "dtype": "int16", "attributes": {"suffix": "T1w", "age": "41"},
          "slope": 2.5, "obs_subject_id": "s1"},
    "b": {"shape": [5, 4, 30], "dtype": "uint8", "channels": 3,
          "attributes": {"suffix": "bold", "run": 2, "weird key": "x\"y", "age": "9"}},
    "c": {"shape": [5, 4], "dtype": "float32", "attributes": {"on": True, "list": [1, "two"]}},
}


def stream():
    out = io.BytesIO()
    writer = FrameWriter(out)
    for name, header in HEADERS.items():
        shape = [header.get("channels", 1), *header["shape"]]
        writer.open({"obs_id": name, **header})
        writer.extra(name.encode() * 50)
        writer.data(ramp(shape, header["dtype"]).tobytes(order="F"))
        writer.close()
    writer.open({"obs_id": "d", "shape": [2], "dtype": "int8"})
    writer.drop("no reason")
    writer.end(skipped=7)
    return out.getvalue()


def passed(box, arguments):
    result = bash(f"frame-filter {arguments}", box, stdin=stream())
    assert result.status == 0, repr(result)
    said = "frame-filter: warning: no header of the stream has 'inner'\n"
    assert result.err == (said if "inner" in arguments else ""), repr(result)
    out = result.out
    assert bash("vol-ls -", box, stdin=out).status == 1  # whole, but some were given up
    return "".join(header["obs_id"] for header, _ in volumes(io.BytesIO(out)))


EXPRESSIONS = {
    '''dtype == "int16" && shape[2] > 2''': "a", "attrs.suffix == 'T1w'": "a",
    "attributes.suffix != 'T1w'": "bc", "shape[2] >= 3": "ab", "shape[-1] == 4": "c",
    "len(shape) == 2": "c", "channels == 3": "b", "channels == 1": "ac", "slope": "a",
    "!slope": "bc", "slope == null": "bc", "attrs.on": "c", "attrs.on == true": "c",
    "attrs.age > 10": "a", "attrs.age < 10": "b", "attrs.age == 41": "a", "attrs.run == '2'": "b",
    "obs_id in ['a', 'c']": "ac", "attrs.list[1] == 'two'": "c", "shape[9] < 1": "",
    "obs_id =~ '^[ab]$'": "ab", "obs_id =~ '(x)|[ab]|(c)x'": "ab", "obs_id !~ 'a'": "bc",
    "(obs_id == 'a' || obs_id == 'b') && dtype == 'uint8'": "b", "obs_id == 'a' || obs_id == 'b' && dtype == 'no'": "a",
    '''attrs["weird key"] == "x\\"y"''': "b", "!(obs_id > 'a')": "a", "true": "abc", "1 > 2": "",
    "attrs.suffix": "ab", "inner == 1 && 1 > 2": "", "slope >= 2.5 && slope <= 2.5e0": "a",
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_meets_the_expression_passes(box, expression):
    quoted = "'" + expression.replace("'", "'\\''") + "'"
    assert passed(box, quoted) == EXPRESSIONS[expression]
    assert set(passed(box, f"-v {quoted}")) == set("abc") - set(EXPRESSIONS[expression])


def test_a_key_that_no_header_has_is_told_of_at_the_end(box):
    result = bash("frame-filter 'attrs.sufix == \"T1w\" || shpae[2] > 3 || slope > 0'", box,
                  stdin=stream())
    assert result.status == 0 and result.err.splitlines() == [
        f"frame-filter: warning: no header of the stream has '{key}'"
        for key in ("attrs.sufix", "shpae")], repr(result)


def test_all_that_passes_passes_as_it_is(box):
    out = ok("frame-filter true", box, stdin=stream()).out
    given, made = (list(read_frames(io.BytesIO(data))) for data in (stream(), out))
    assert given == made
    made = list(read_frames(io.BytesIO(ok("frame-filter 'obs_id == \"b\"'", box,
                                          stdin=stream()).out)))
    assert [kind for kind, _, _ in made].count(CLOSE) == 1
    assert DROP not in [kind for kind, _, _ in made]
    assert made[-1] == (END, {"volumes": 1, "dropped": 0, "skipped": 7}, b"")


def test_a_list_of_ids_says_what_passes(box):
    (box / "ids").write_text("c\na\n")
    assert passed(box, "-T ids") == "ac"
    assert passed(box, "-v -T ids") == "b"
    (box / "ids").write_bytes(b"b\0nobody\0")
    result = bash("frame-filter -0 -T ids", box, stdin=stream())
    assert result.status == 1
    one_clear_line(result, "frame-filter", "nobody")
    assert [header["obs_id"] for header, _ in volumes(io.BytesIO(result.out))] == ["b"]


@pytest.mark.parametrize("expression", [
    "", "a ==", "(a", "a)", "a b", "'open", "a[", "a[1", "a[1.5]", "a.", "1 2", "x =~ '('", "x =~ y",
    "[1,", "&&", "!", "((" * 200, "a = 1", "-"])
def test_what_is_no_expression_is_told_before_anything_is_read(box, expression):
    quoted = "'" + expression.replace("'", "'\\''") + "'"
    result = bash(f"frame-filter -- {quoted}", box, stdin=stream())
    assert result.status == 64 and result.out == b""
    one_clear_line(result, "frame-filter", "character")


def test_a_stream_that_is_cut_is_cut_behind_the_filter_too(box):
    data = stream()
    result = bash("frame-filter true", box, stdin=data[:len(data) - 30])
    assert result.status == 65
    one_clear_line(result, "frame-filter")
    assert bash("vol-ls -", box, stdin=result.out).status == 65


def test_voxels_are_not_held(box):
    """A volume of 300 MB in 60 MB of memory."""
    script = ("import sys; from volpipe import *; w = FrameWriter(sys.stdout.buffer);"
              "w.open({'obs_id': 'v', 'shape': [300, 1000, 1000], 'dtype': 'uint8'});"
              "[w.data(bytes(1000000)) for _ in range(300)]; w.close(); w.end()")
    ok(f'"$PYTHON" -c "{script}" | (ulimit -v 400000; frame-filter true) > out', box)
    assert (box / "out").stat().st_size > 300_000_000

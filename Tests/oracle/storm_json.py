"""JSON objects, valid and not, as text."""

import json
import re

UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)  # what json and frames.py raise


def compact(value, dice=None):
    ascii_only = dice is not None and dice.random() < 0.5
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode(
        errors="surrogatepass")


# Values, as texts, that JSON does not have, and others that it has.
NOT_JSON = {
    "a number that is none": [b"01", b"+1", b".5", b"1.", b"1e", b"0x10", b"--1", b"-", b"1_0",
                              b"-01", b"00"],
    "NaN": [b"NaN", b"Infinity", b"-Infinity", b"nan"],
    "a word": [b"True", b"None", b"undefined", b"nul", b"x"],
    "a raw control character": [b'"\x1b[31m"', b'"\n"', b'"\0"', b'"\t"'],
    "invalid UTF-8": [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xe2\x82"',
                      b'"\xf5\x80\x80\x80"'],
    "a bad escape": [b'"\\q"', b'"\\u12"', b'"\\x41"', b'"\\u 123"'],
    "a list that ends in a comma": [b"[1,]", b"[,]", b"[1 2]"],
    "single quotes": [b"'a'"], "a comment": [b"1/**/", b"1//x\n"],
    "an open text": [b'"a'], "an open list": [b"[1"], "no value": [b""],
    "a key that is no text": [b"{1:2}", b"{a:2}", b'{"a"}', b'{"a" 1}', b'{"a":1,}'],
}
IS_JSON = {
    "an exponent": [b"1E+2", b"1e-7", b"-0", b"-0.0", b"0e0"],
    "a large integer": [b"9007199254740993", b"-9007199254740993"],
    "escapes": [b'"\\u0061\\/\\b\\f\\n\\r\\t\\"\\\\"', b'"\\ud83e\\udde0"', b'"\\u0000"'],
    "white space": [b" \t\r\n[ 1 ,\r\n{ } ] "], "DEL and C1": [b'"\x7f\xc2\x9b"'],
    "keys in two forms": [b'{"\xc3\xa9":1,"e\xcc\x81":2}'], "no members": [b"{}", b"[]", b'""'],
}
PERHAPS_JSON = {
    "a huge number": [b"1e400", b"-1e400", b"18446744073709551616", b"9" * 5000, b"1e-400",
                      b"0." + b"1" * 5000],
    "half of a surrogate": [b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud800x"'],
}


def spoil(dice, text, in_dataset):
    """Change the text of a JSON object: (what was done, text, what it is to who reads it)."""
    way = dice.randrange(11)
    if way < 6:
        pool, verdict = dice.choice([(NOT_JSON, "refuse")] * 3 + [(IS_JSON, "accept")] * 2
                                    + [(PERHAPS_JSON, "either")])
        kind = dice.choice(list(pool))
        value = dice.choice(pool[kind])
        # A list may be empty: only a member that has no value is wrong.
        if dice.random() < 0.4 and value:
            value = dice.choice([b"[%s]", b'{"y":%s}', b'[0,{"y":[%s]}]']) % value
        return kind, member(text, value), verdict
    if way == 6:
        levels = dice.choice([99, 100, 101, 110, 500, 1000, 5000, 20_000, 100_000])
        open_, close = dice.choice([(b"[", b"]"), (b'{"y":', b"}")])
        inside = b"0," * dice.choice([0, 0, 3000]) if open_ == b"[" else b""
        value = open_ * levels + inside + b"0" + close * levels
        return f"{'over ' * (levels > 99)}100 levels", member(text, value), (
            "refuse" if levels > 99 else "accept")
    if way == 7 and dice.random() < 0.1:
        return "over 2,000,000 values", member(text, b"[" + b"0," * 2_000_001 + b"0]"), (
            "refuse" if in_dataset else "either")
    if way == 7:
        name = dice.choice(list(json.loads(text)) or ["zz"]).encode()
        twice = dice.random() < 0.5
        first = b'"zy":1,"zy":2,' if twice else b'"' + name + b'":null,'
        return f"{'an unknown' if twice else 'a'} key twice", text.replace(b"{", b"{" + first, 1), (
            "refuse" if in_dataset else "accept" if twice else "either")
    if way == 8:
        after = dice.choice([b"x", b"{}", b"\0", b",", b"}", b"[]", b"/**/", b"\xff",
                             b"\xe2\x80\xa8"])
        return "something after it", text.rstrip() + after, "refuse"
    if way == 9:
        at = dice.randrange(len(text.rstrip()))
        cut = dice.choice([text[:at], b"", b" ", b"[]", b"1", b"null", b'"x"', b"{",
                           b"[" + text + b"]"])
        return "no object", cut, "refuse"
    if dice.random() < 0.3:
        return "a byte-order mark", b"\xef\xbb\xbf" + text, "either"
    # The only commas left are those that separate, if texts are passed over.
    return "a comma at its end", re.sub(rb"(\s*)\}(\s*)$", rb",\1}\2", text), "refuse"


def member(text, value):
    """Give an object one more member, the first."""
    rest = text[text.index(b"{") + 1:]
    return b'{"zz":' + value + (b"" if rest.lstrip()[:1] == b"}" else b",") + rest


def another_type(dice, value):
    """A value of another JSON type than this; a number stands beside no other number."""
    kinds = [None, True, "x", 7, [], {}, [None], {"a": 1}, -1.5e300]
    same = (int, float) if type(value) in (int, float) else (type(value),)
    return dice.choice([kind for kind in kinds if type(kind) not in same])

"""Tables of files and subjects, and one change to each."""

from storm_json import compact, spoil
from storm_verdicts import Verdict, accepted, draw_text, either, refused

META, TABLE = "vol-meta -q ds < table", "nifti-cat -q --table table"
TABLE_TOOLS = frozenset({META, TABLE})


class Table:
    """A valid table of three files and their subjects, as text of any of the forms."""

    def __init__(self, dice):
        self.dice = dice
        self.names = ["path", "obs_subject_id", "age", "note"]
        self.rows = [[f"v{n}.nii", f"s{n}", dice.choice(["41", "007", "1.50", "n/a", "", "-1e5"]),
                      dice.choice(["x", "\u00e9\u0301", "a b", "true"])] for n in range(3)]
        self.is_lines = dice.random() < 0.3
        self.separator = dice.choice("\t,;")
        self.end, self.quotes = dice.choice(["\n", "\r\n"]), dice.random() < 0.5

    def field(self, text):
        if self.quotes or any(mark in text for mark in '\t,;"\n\r'):
            return '"' + text.replace('"', '""') + '"'
        return text

    def lines(self):
        if self.is_lines:
            return [compact(dict(zip(self.names, row)), self.dice) for row in self.rows]
        return [self.separator.join(map(self.field, row)).encode(errors="surrogatepass")
                for row in (self.names, *self.rows)]

    def encode(self):
        end = b"\n" if self.is_lines else self.end.encode()
        return end.join(self.lines()) + end

    def expected(self):
        """The rows that come back, texts and None."""
        rows = [[None if text in ("", "n/a") else text for text in row] for row in self.rows]
        return sorted(rows, key=lambda row: row[1].encode())


def change_table(dice, t):
    way = dice.choice(["nothing", "subject", "subject", "two forms", "cells", "names twice",
                       "no UTF-8", "JSON", "JSON", "JSON", "path", "path", "obs_id", "no column",
                       "a mark", "blank lines", "open quote", "long line", "columns", "rows",
                       "values"])
    lines, by = None, TABLE_TOOLS
    both = frozenset({META}) if t.is_lines else TABLE_TOOLS
    if way == "subject":
        what, is_bad, text = draw_text(dice)
        t.rows[1][1] = text
        if not text:
            return refused("table: no subject", frozenset({META}))
        return refused(f"table: subject: {what}", both) if is_bad else accepted(
            f"table: subject: {what}", both)
    if way == "two forms":
        t.rows[0][1], t.rows[1][1] = "Jos\u00e9", "Jose\u0301"
        return accepted("table: subjects in two forms", both)
    if way == "values":
        t.rows[0][3] = dice.choice(["\x1b[2J", "\u009b", "\u202e", "a\nb", 'a"b', "x" * 100_000,
                                    "\x7f", "=1+1"])
        t.rows[1][2] = dice.choice(["1e400", "9" * 400, "NaN", "-0", "1E5", "0x10",
                                    "9007199254740993"])
        return accepted("table: odd values", both)
    if way == "obs_id":
        what, is_bad, text = draw_text(dice)
        t.names.append("obs_id")
        t.rows = [[*row, f"i{n}" if n else text] for n, row in enumerate(t.rows)]
        t.is_lines = False
        # A field that is empty says nothing.
        return refused(f"table: obs_id: {what}", frozenset({TABLE})) if is_bad and text else (
            accepted(f"table: obs_id: {what}", TABLE_TOOLS))
    if way == "no column":
        gone = dice.choice(["path", "obs_subject_id"])
        t.rows = [[value for name, value in zip(t.names, row) if name != gone] for row in t.rows]
        t.names.remove(gone)
        return refused(f"table: no {gone}", frozenset({TABLE if gone == "path" else META}))
    if way == "path":
        what, text = dice.choice([
            ("a folder", "."), ("missing", "none.nii"), ("another file", "/etc/passwd"),
            ("empty", ""), ("a FIFO", "fifo.nii"), ("a link to itself", "loop.nii"),
            ("a NUL", "v0.nii\0"), ("a device", "/dev/zero"), ("above", "../../" * 50),
            ("a line feed", "a\nb"), ("long", "x" * 5000)])
        t.rows[1][0], t.is_lines = text, False
        if what in ("a FIFO", "a device"):
            return either(f"table: path: {what}")  # passed over and counted
        return refused(f"table: path: {what}", frozenset({TABLE}))
    if way == "long line":
        size = dice.choice([900_000, 2_000_000])
        t.rows[1][3] = "x" * size
        return refused("table: a line over 1 MiB", both) if size > 1 << 20 else accepted(
            "table: a long line", both)
    if way == "columns":
        count = dice.choice([4000, 5000])
        t.names = t.names + [f"c{n}" for n in range(count)]
        t.rows = [row + ["1"] * count for row in t.rows]
        if count > 4096:
            return refused("table: over 4,096 columns", frozenset({META}))
        return accepted("table: many columns", both)
    if way == "rows":
        t.rows = [t.rows[0]] * (10_001 if dice.random() < 0.2 else 9)
        if len(t.rows) > 10_000:
            return refused("table: over 10,000 rows of a subject", frozenset({META}))
        return accepted("table: rows of one subject", both)
    lines = t.lines()
    at = dice.randrange(len(lines))
    if way == "JSON":
        t.is_lines = True
        lines = t.lines()
        at = dice.randrange(len(lines))
        kind, text, verdict = spoil(dice, lines[at], False)
        # Line ends end lines, empty ones are passed over, and what begins with no { is another
        # form of table.
        if kind == "white space" or not text.strip() or at == 0 and text[:1] != b"{":
            verdict = "either"
        lines[at] = text
        verdict = Verdict(f"table: JSON: {kind}", refuse={META} if verdict == "refuse" else ())
    elif way == "cells":
        t.is_lines = False
        lines = t.lines()
        at = dice.randrange(1, len(lines))
        lines[at] = lines[at] + t.separator.encode() if dice.random() < 0.5 else (
            lines[at].rpartition(t.separator.encode())[0])
        verdict = refused("table: fields", by)
    elif way == "names twice":
        t.is_lines = False
        t.names[3] = dice.choice(["age", "obs_subject_id", "path"])
        lines, verdict = t.lines(), refused("table: a name twice", by)
    elif way == "no UTF-8":
        at = dice.randrange(1, len(lines)) if not t.is_lines else at
        bad = dice.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"])
        lines[at] = lines[at][:-1] + bad + lines[at][-1:]
        verdict = refused("table: no UTF-8", both)
        if t.is_lines:
            lines[at] = lines[at].replace(bad, b"").replace(b":\"s", b":\"" + bad + b"s", 1)
    elif way == "a mark":
        t.is_lines = False
        lines, verdict = t.lines(), accepted("table: a byte-order mark", by)
        lines[0] = b"\xef\xbb\xbf" + lines[0]
    elif way == "blank lines":
        t.is_lines = False
        lines, verdict = t.lines(), accepted("table: blank lines", by)
        lines.insert(dice.randint(1, len(lines)), b"")
    elif way == "open quote":
        t.is_lines = t.quotes = False
        lines, verdict = t.lines(), either("table: a quote")
        lines[at] = dice.choice([b'"' + lines[at], lines[at] + b'"', lines[at] + b'\t"a"b'])
    else:
        verdict = accepted("nothing", both)
    data = b"\n".join(lines) + b"\n"
    t.encode = lambda: data
    return verdict

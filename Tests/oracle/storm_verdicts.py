"""What inputs are drawn from, and what the manuals say of them."""

import re
from dataclasses import dataclass

EDGES = [0, 1, 2, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53,
         2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
ABSOLUTE = "/tmp/storm-pwn"  # where nothing may come to be
NOW, OTHER = "2026-11-21T09:30:00.250000Z", "0123456789abcdef" * 2
ALL = object()  # every command: what a verdict is for

# Texts, as (what it is, text); Cc is what "control character" means in the manuals.
FORBIDDEN = [("a slash", "a/b"), ("a path above", "../../pwn"), ("an absolute path", ABSOLUTE),
             ("a dot", "."), ("two dots", ".."), ("empty", ""), ("256 bytes", "x" * 256),
             ("256 bytes", "\u00e9" * 128), ("a line feed", "a\nb"), ("a NUL", "a\0b"),
             ("an escape", "a\x1b]0;x\x07"), ("DEL", "a\x7f"), ("C1", "a\u009b31m")]
ALLOWED = [("bidi", "a\u202eb"), ("255 bytes", "x" * 255), ("a hidden name", ".a"),
           ("three dots", "..."), ("NFD", "e\u0301"), ("Hangul jamo", "\u1112\u1161\u11ab"),
           ("a line separator", "a\u2028b"), ("spaces", " a "), ("a quote", "a'\"\\b"),
           ("an at sign", "a@1"), ("percent", "%2e%2f"), ("private use", "\ue000"),
           ("a noncharacter", "\uffff"), ("emoji", "\U0001f9e0"), ("under scores", "__a"),
           ("a mark", "\ufeffa"), ("an option", "--help"), ("a colon", "a:b")]
NO_TIMES = [("a word", "yesterday"), ("empty", ""), ("no fraction", "2026-11-21T09:30:00Z"),
            ("a space", "2026-11-21 09:30:00.250000Z"), ("no zone", NOW[:-1]),
            ("another zone", NOW[:-1] + "+01:00"), ("a line feed", NOW + "\n"),
            ("13th month", NOW.replace("-11-", "-13-")), ("an escape", "\x1b[2J" + NOW[4:]),
            ("hour 99", NOW.replace("T09", "T99")),
            ("other digits", NOW.replace("1", "\u0661")),
            ("100,000 bytes", "9" * 100_000), ("days first", "21-11-2026T09:30:00.250000Z")]
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass
class Verdict:
    """What was done to an input, and what the manuals say of it to which commands.

    To those in neither set it may be either; `also` are those of them that it is worth a try with.
    """

    kind: str
    refuse: object = frozenset()
    accept: object = frozenset()
    also: object = frozenset()

    def of(self, command):
        if self.refuse is ALL or command in self.refuse:
            return "refuse"
        return "accept" if self.accept is ALL or command in self.accept else "either"


def refused(kind, by=ALL):
    return Verdict(kind, refuse=by)


def accepted(kind, by=ALL):
    return Verdict(kind, accept=by)


def either(kind):
    return Verdict(kind)


def draw_text(dice):
    """A text where Names apply: (what it is, whether it is forbidden, text)."""
    is_bad = dice.random() < 0.6
    what, text = dice.choice(FORBIDDEN if is_bad else ALLOWED)
    return what, is_bad, text


def edge(dice, size, but=None):
    """A number that fits the bytes, most often one at an edge."""
    values = [value for value in EDGES if value < 1 << 8 * size and value != but]
    near = [but + step for step in (-1, 1) if but and 0 <= but + step < 1 << 8 * size]
    return dice.choice(values + near * 2)

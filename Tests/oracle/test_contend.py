"""Everybody at once: ten seconds here, `contend.py --seconds 60` for the long run."""

import contend


def test_everybody_at_once_makes_one_history_and_disturbs_no_reader(box):
    count = contend.Contention(box, 10).run()
    # vol-rm needs more luck than ten seconds may hold.
    for tool in ("vol-write 0", "vol-commit 0", "vol-gc 0", "vol-cat 0", "vol-verify 0"):
        assert count[tool], f"{tool} never happened: {count}"

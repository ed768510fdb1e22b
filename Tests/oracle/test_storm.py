"""Some two hundred hostile inputs: `storm.py` by hand for the long run."""

import storm


def test_no_hostile_input_traps_hangs_leaks_lies_or_is_taken_where_it_is_forbidden(box):
    findings, runs = storm.storm({"streams": 100, "datasets": 50, "tables": 30}, 1, box / "kept")
    assert runs > 800
    assert not findings, "\n" + storm.report(findings, box / "kept")


def test_a_catalog_that_holds_an_id_twice_gives_neither(box):
    """Which of two is meant nobody knows; one came."""
    findings, _ = storm.storm({"datasets": [1990]}, 20261127, box / "kept")
    assert not findings, "\n" + storm.report(findings, box / "kept")

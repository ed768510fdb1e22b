"""A tool killed, or a call failed, at each of the calls by which it changes a dataset."""

import inject
import pytest


@pytest.mark.parametrize("name", inject.SCENARIOS)
def test_no_call_that_kills_or_fails_costs_a_snapshot_or_the_next_run(box, name):
    count = inject.check_all(inject.SCENARIOS[name], box)
    assert count["KILL"] and count["EIO"], count

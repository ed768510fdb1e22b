"""scripts/layers, on graphs made up here: what it takes for an upward arrow, and what not; and
Tests/mutants.py, whose faults must have a place."""

import runpy

import pytest
from support import REPO

LAYERS = runpy.run_path(str(REPO / "scripts" / "layers"))
ORDER = {"Low": "", "Left Right": "Low", "High": "Left"}
NAMES = ["Low", "Left", "Right", "High"]


def found(*uses, layers=NAMES, order=ORDER):
    """What is wrong where each use, `Left -> Low`, is of an `f()` in the one file of a layer."""
    def source(folder):
        return LAYERS["Source"]("Datasets", folder, f"{folder}/{folder}.swift")

    references = [LAYERS["Reference"](*map(source, use.split(" -> ")), "f()", f"s:{use}")
                  for use in uses]
    graph = LAYERS["arrows"](references, lambda one: one.folder)
    return list(LAYERS["faults"](order, layers, graph))


def test_arrows_down_are_right_over_several_floors_too():
    assert not found("Left -> Low", "Right -> Low", "High -> Left", "High -> Low", "Low -> Low")


@pytest.mark.parametrize("low, high", [("Low", "High"), ("Left", "Right"), ("High", "Right")])
def test_an_arrow_up_or_to_another_branch_names_its_reference(low, high):
    assert found(f"{low} -> {high}") == [f"{low}/{low}.swift -> {high}/{high}.swift: f()"]


def test_a_circle_is_told_with_its_arrow_up():
    assert found("Low -> High", "High -> Left", "Left -> Low", "Right -> Low") == [
        "Low/Low.swift -> High/High.swift: f()", "circle: Low -> High -> Left -> Low"]


def test_a_layer_without_a_place_or_without_a_source_is_told():
    assert found("New -> Low", layers=["New", *NAMES[1:]]) == [
        "Low: holds no source", "New: has no place in the order"]


def test_an_order_that_is_none_is_refused():
    with pytest.raises(KeyError):
        LAYERS["below"]({"Low": "High", "High": "Low"})


def test_the_table_counts_symbols_not_references():
    source = LAYERS["Source"]
    low, high = source("Datasets", "Low", "Low.swift"), source("Datasets", "High", "High.swift")
    other = source("Datasets", "High", "Other.swift")
    references = [LAYERS["Reference"](*one) for one in [
        (high, low, "f()", "s:1"), (other, low, "f()", "s:1"), (high, low, "f()", "s:2")]]
    graph = LAYERS["arrows"](references, lambda one: one.folder)
    assert list(LAYERS["table"]({"Low": "", "High": "Low"}, graph)) == ["Low   -", "High  Low:2"]


def test_faults_that_are_put_in_by_hand_have_their_place():
    """What Tests/mutants.py replaces stands in the code, once: a fault without a place is no test."""
    mutants = runpy.run_path(str(REPO / "Tests/mutants.py"))["MUTANTS"]
    assert [name for name, (path, old, _) in mutants.items()
            if (REPO / path).read_text().count(old) != 1] == []

"""Fixtures for tests that run the tools in real pipes.

The binaries are those in $VOLPIPE_BIN, by default .build/release of this repository.
"""

import inspect
import os
import re

import pytest
import support


def pytest_collection_modifyitems(config, items):
    """Under a sanitizer, leave out what bounds or measures memory; see scripts/sanitize."""
    if not os.environ.get("VOLPIPE_SANITIZER"):
        return
    measures = re.compile(r"ulimit|ru_maxrss|peak|strace|prlimit|memory\.py")
    out = [item for item in items if measures.search(inspect.getsource(item.function))]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def tools():
    missing = [tool for tool in support.TOOLS if not (support.BIN / tool).exists()]
    # Not a skip: a suite that passes because it tested nothing is worse than none.
    if missing:
        pytest.exit(f"{', '.join(missing)} not in {support.BIN}: build, or set VOLPIPE_BIN", 2)


@pytest.fixture
def box(tools, tmp_path):
    """A folder of the test's own, with the tools known to be there."""
    return tmp_path


@pytest.fixture(scope="session")
def shared(tools, tmp_path_factory):
    """A folder for what several tests of a module only read."""
    return tmp_path_factory.mktemp("shared")

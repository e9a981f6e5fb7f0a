"""LIBERO's tasks as its own benchmark module lists them, without that module and without questions."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from libero_bridge.libero_setup import import_libero
from libero_bridge.tasks import LiberoSource
from substep_core.tasks import task_source

SOURCE = task_source("libero")


@pytest.mark.parametrize("suite", LiberoSource.suites)
def test_names_sentences_files_and_initial_states_are_the_benchmarks(suite):
    import_libero()
    from libero.libero.benchmark import get_benchmark

    benchmark = get_benchmark(suite)()
    assert len(SOURCE.names(suite)) == len(benchmark.tasks)
    for index, expected in enumerate(benchmark.tasks):
        task = SOURCE.task(suite, index)
        assert (task.name, task.instruction) == (expected.name, expected.language)
        assert os.path.samefile(task.bddl_file, benchmark.get_task_bddl_file_path(index))
        assert task.init_states_file.name == expected.init_states_file and task.init_states_file.is_file()
    np.testing.assert_array_equal(SOURCE.task(suite, 0).init_states(), benchmark.get_task_init_states(0))


@pytest.mark.parametrize(("suite", "index", "words"), [("libero", 0, "'libero'"), ("libero_10", -1, "-1.*0 to 9")])
def test_an_unknown_task_is_named(suite, index, words):
    with pytest.raises(ValueError, match=words):
        SOURCE.task(suite, index)


def test_on_a_new_machine_importing_libero_asks_and_says_nothing(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("LIBERO_CONFIG_PATH", None)
    run = subprocess.run(
        [sys.executable, "-c", "from libero_bridge.libero_setup import import_libero; import_libero()"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")

"""Workers do not load the script that was started, unless what they are sent is defined there."""

import subprocess
import sys

import pytest

from common.processes.main_module import is_of_main_module
from tests.helpers import ROOT

SCRIPT = """
import multiprocessing, os, sys
from common.processes.main_module import spare_main_module
from common.processes.pool import run_in_processes
print("loaded", __name__)

def double(x):
    return 2 * x

if __name__ == "__main__":
    print(list(run_in_processes({function}, [1, 2], 2, [1, 1], "numbers", "number")))
    assert sys.modules["__main__"].__file__.endswith("script.py")
    with spare_main_module():
        process = multiprocessing.get_context("{method}").Process(target=os.getpid)
        process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize(("function", "n_loaded"), [("abs", 1), ("double", 3)])
def test_the_script_is_loaded_only_where_it_is_needed(tmp_path, function, n_loaded, method):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(function=function, method=method))
    done = subprocess.run(
        [sys.executable, script], env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("loaded") == n_loaded
    assert "[1, 2]" in done.stdout if function == "abs" else "[2, 4]" in done.stdout


def defined_here(x: int) -> int:
    return x


def test_what_is_defined_in_the_script_is_recognised(monkeypatch):
    assert not is_of_main_module((defined_here, 1))
    monkeypatch.setattr(defined_here, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "defined_here", defined_here, raising=False)
    assert is_of_main_module((defined_here, 1))

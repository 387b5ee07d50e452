"""Runs every command of the README, in its order, in a copy of the working tree.

The example archive stands in for the download and for one's own data, its force field for Sage; words in capitals get
values. What is not run here: installing, downloading, make (``.ci/run`` calls it), torchrun and --resume
(``tests/stages/test_004_train.py``).
"""

import glob
import json
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from own_data import write_own_data

ROOT = pathlib.Path(__file__).parents[1]
COMMAND = re.compile(
    r"^(?:python|tensorboard|torchrun) [^`\n#]*|`((?:python|tensorboard|torchrun) [^`\n]*)`", re.MULTILINE
)
ELSEWHERE = ("torchrun", "--resume")
PATIENCE = 60.0
"""[s] until TensorBoard must answer."""


def list_commands(readme: str) -> list[str]:
    """All commands, in blocks and in the text, in their order."""
    return [(match[1] or match[0]).strip() for match in COMMAND.finditer(readme)]


def copy_project(folder: pathlib.Path) -> None:
    """The working tree without what it has produced, with the example in place of what is downloaded."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv*", "outputs", "__pycache__", ".*_cache"))
    shutil.copytree(ROOT / "example" / "8150601", folder / "outputs" / "8150601")
    (folder / "force-fields").mkdir(exist_ok=True)
    shutil.copy(ROOT / "example" / "starter.offxml", folder / "force-fields" / "openff-2.1.0.offxml")
    write_own_data(folder / "my-conformers.xyz")
    other = (ROOT / "example" / "starter.offxml").read_text().replace('k="', 'k="1.1 * ')
    (folder / "my-start.offxml").write_text(other)


def fill_in(command: str, folder: pathlib.Path) -> list[str]:
    """The words of a command, with this Python and values for the words in capitals."""
    values = {"PARAMETERS.pt": "outputs/openff-2.1.0.pt", "OUT.xml": "outputs/system.xml"}
    words = [values.get(word, word) for word in shlex.split(command, comments=True)]
    words = [found for word in words for found in (sorted(glob.glob(word, root_dir=folder)) or [word])]
    if "SMILES" in words:
        words[words.index("SMILES")] = json.loads((folder / "outputs" / "data-raw" / "smiles.json").read_text())[0]
    if words[0] == "tensorboard":
        return [sys.executable, "-m", "tensorboard.main", *words[1:]]
    return [sys.executable, *words[1:]]


def try_tensorboard(words: list[str], folder: pathlib.Path) -> None:
    """Starts TensorBoard and asks for its runs until it knows some."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*words, "--host", "127.0.0.1", "--port", str(port)], cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=PATIENCE) as response:
                    if json.load(response):
                        return
            except urllib.error.URLError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("TensorBoard shows no runs")
            time.sleep(0.5)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def main() -> None:
    commands = list_commands((ROOT / "README.md").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "project"
        copy_project(folder)
        for command in commands:
            if any(word in command for word in ELSEWHERE):
                continue
            print(f"\n$ {command}", flush=True)
            words = fill_in(command, folder)
            if command.startswith("tensorboard"):
                try_tensorboard(words, folder)
            else:
                subprocess.run(words, cwd=folder, check=True)


if __name__ == "__main__":
    main()

"""Runs every command of README and docs, in their order, in a copy of the working tree.

The example archive stands in for the download and for one's own data, its force field for Sage; words in capitals get
values. Stages that would take minutes run with their preset "ci", on few molecules. What is not run here: installing,
downloading, make (``.ci/run`` calls it), torchrun and --resume (the tests of their stages), benchmarks.
"""

import collections.abc
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
DOCUMENTS = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "when-something-goes-wrong",
            "own-data",
            "the-fit",
            "relaxed-benchmarks",
            "type-discovery",
            "stable-dynamics",
            "active-learning",
            "coarse-graining",
            "molecule-generation",
        )
    ),
)
"""In the order in which one makes what another reads."""

COMMAND = re.compile(
    r"^(?:python|tensorboard|torchrun) [^`\n#]*|`((?:python|tensorboard|torchrun) [^`\n]*)`", re.MULTILINE
)
ELSEWHERE = ("torchrun", "--resume", "benchmarks.")
FEWER = {
    "--max-heavy-atoms 6": "--max-heavy-atoms 3",
    "--molecule CCO": "--molecule CCO --name CCO",
    "042-train-generator.py --preset example": "042-train-generator.py --n-train 30 --n-validation 5",
    "--smiles c1ccccc1 --parameters outputs/openff-2.1.0.pt": "--smiles c1ccccc1 --parameters example/starter.offxml",
    "--n-molecules 1000": "--n-molecules 30",
    "--n-molecules 100": "--n-molecules 3",
}
"""What a stage is asked for where a preset does not make it small, or the example has no such molecule."""

PATIENCE = 60.0
"""[s] until TensorBoard must answer."""


def list_commands(document: str) -> list[str]:
    """All commands, in blocks and in the text, in their order; of a chain each of its own."""
    found = [(match[1] or match[0]).strip() for match in COMMAND.finditer(document)]
    return [part.strip() for command in found for part in command.split("&&")]


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
    """The words of a command, with this Python, values for the words in capitals, and less to do."""
    for much, less in FEWER.items():
        command = command.replace(much, less)
    values = {"PARAMETERS.pt": "outputs/openff-2.1.0.pt"}
    words = [values.get(word, word) for word in shlex.split(command, comments=True)]
    words = [re.sub(r"^OUT\.", "outputs/molecule.", word) for word in words]
    words = [found for word in words for found in find(word, folder)]
    if "SMILES" in words:
        words[words.index("SMILES")] = json.loads((folder / "outputs" / "data-raw" / "smiles.json").read_text())[0]
    if words[0] == "tensorboard":
        return [sys.executable, "-m", "tensorboard.main", *words[1:]]
    return [sys.executable, *make_small(words[1:])]


def find(word: str, folder: pathlib.Path) -> collections.abc.Iterable[str]:
    """A pattern's files; the latest folder for RUN, the only one for NAME."""
    if re.search(r"\b(RUN|NAME)\b", word):
        space = sorted((folder / "outputs" / "search-spaces").glob("*"))
        if "/" not in word and space:
            return [word.replace("NAME", space[0].name)]
        found = sorted(glob.glob(re.sub(r"\b(RUN|NAME)\b", "*", word), root_dir=folder))
        return found[-1:] or [word]
    return sorted(glob.glob(word, root_dir=folder)) or [word]


def make_small(words: list[str]) -> list[str]:
    """With the preset "ci" in place of another, where the stage has one; the control of a run has that run's."""
    if not (ROOT / "configs" / pathlib.Path(words[0]).stem / "ci.toml").is_file() or "--control" in words:
        return words
    if "--preset" in words:
        i = words.index("--preset")
        words = words[:i] + words[i + 2 :]
    return [words[0], "--preset", "ci", *words[1:]]


def is_empty(words: list[str], folder: pathlib.Path) -> bool:
    """Whether the data set that a stage is to read has no molecules: a generator of seconds may make none."""
    return any(
        (folder / word / "smiles.json").is_file() and not json.loads((folder / word / "smiles.json").read_text())
        for word in words
    )


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


def run(command: str, folder: pathlib.Path) -> None:
    """Runs one command in the copy.

    Raises:
        subprocess.CalledProcessError, RuntimeError: it fails.
    """
    if any(word in command for word in ELSEWHERE):
        return
    words = fill_in(command, folder)
    print(f"\n$ {command}", flush=True)
    if command.startswith("tensorboard"):
        try_tensorboard(words, folder)
    elif is_empty(words, folder):
        print("no molecules: nothing to do")
    else:
        start = time.perf_counter()
        subprocess.run(words, cwd=folder, check=True)
        print(f"[{time.perf_counter() - start:.1f} s]", flush=True)


def main() -> None:
    documents = sys.argv[1:] or DOCUMENTS
    missing = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} - set(DOCUMENTS)
    if missing:
        raise SystemExit(f"{', '.join(sorted(missing))}: say in {pathlib.Path(__file__).name} when their commands run")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "project"
        copy_project(folder)
        for document in documents:
            print(f"\n== {document}", flush=True)
            for command in list_commands((ROOT / document).read_text()):
                run(command, folder)


if __name__ == "__main__":
    main()

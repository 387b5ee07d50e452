"""From the archive to the report by pasting what each stage prints, in a shell that knows nothing else."""

import pathlib
import subprocess
import sys

from benchmarks.make_archive import make_archive
from tests.helpers import ROOT

N_CONFS = 200


def paste(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_what_is_printed_can_be_pasted(tmp_path):
    folder = tmp_path / "a folder with 'spaces'"
    make_archive(N_CONFS, folder / "8150601", seed=0, n_workers=1)
    text = paste(
        f'"{sys.executable}" 001-convert-espaloma-data.py --input "{folder}/8150601" --output "{folder}/data-raw"'
    )
    commands = []
    while "\nnext: " in text:
        commands.append(text.rpartition("\nnext: ")[2].strip())
        text = paste(commands[-1])
    assert [name for command in commands for name in ("002", "003", "004", "005") if f" {name}-" in command] == [
        "002", "003", "004", "005",
    ]  # fmt: skip
    lines = [line.partition(": ")[::2] for line in text.splitlines()]
    [report] = [value.removesuffix(" (in a browser)").strip() for name, value in lines if name == "read"]
    [force_field] = [value.strip() for name, value in lines if name == "use"]
    assert pathlib.Path(report).is_relative_to(folder / "analysis")
    assert pathlib.Path(report).is_file()
    assert pathlib.Path(force_field).is_file()
    assert {path.name for path in folder.iterdir()} >= {"data-raw", "data-clustered", "runs", "statistics", "analysis"}

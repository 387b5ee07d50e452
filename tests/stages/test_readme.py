"""The snippets of the README do what it says; its commands exist."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from common.runs.settings import Group, list_groups
from tests.commands import load_settings
from tests.helpers import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def find_block(language: str, word: str) -> str:
    (block,) = [text for kind, text in BLOCKS if kind == language and word in text]
    return block


def run_snippet(code: str, folder: pathlib.Path) -> dict:
    shutil.copy(ROOT / "example" / "starter.offxml", folder / "force-field.offxml")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_openmm_snippet(tmp_path, monkeypatch):
    pytest.importorskip("openmm")
    monkeypatch.chdir(tmp_path)
    names = run_snippet(find_block("python", "openmm_export"), tmp_path)
    assert names["system"].getNumParticles() == 9


# the stack has warnings of its own, of which there are many
@pytest.mark.filterwarnings("ignore::Warning")
def test_toolkit_snippet(tmp_path, monkeypatch):
    pytest.importorskip("openff.toolkit", reason="the OpenFF toolkit is not installed")
    monkeypatch.chdir(tmp_path)
    names = run_snippet(find_block("python", "openff.toolkit"), tmp_path)
    assert names["interchange"].topology.n_atoms == 9


def list_commands() -> list[list[str]]:
    commands = re.findall(r"python (\d{3}-[\w-]+\.py[^\n`#]*)", README)
    return [command.split() for command in commands]


@pytest.mark.parametrize("script", sorted({words[0] for words in list_commands()}))
def test_commands_name_scripts_and_options_that_exist(script):
    result = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, check=True, timeout=120
    )
    for words in list_commands():
        if words[0] == script:
            for option in (word for word in words if word.startswith("--")):
                assert option.partition("=")[0] in result.stdout


def test_every_hyperparameter_is_explained():
    settings = load_settings("004-train.py")
    explained = set(re.findall(r"`([a-z_]+)`", README))
    not_machine = {name for name, group in list_groups(settings).items() if group is not Group.MACHINE}
    assert "learning_rate" in not_machine
    assert not_machine - explained == {"data", "parameters"}  # what it reads: the table of stages


def test_make_targets_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(r"`?make (\w+)", README):
        assert target in targets


def test_links_lead_somewhere():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", prose):
        assert (ROOT / link).exists(), link


def test_messages_to_look_up_are_those_that_stages_print():
    sources = [*ROOT.glob("0*.py"), *(ROOT / "common").rglob("*.py")]
    text = " ".join(re.sub(r'"\n\s*f?"', "", path.read_text()) for path in sources)
    table = README.partition("## When something goes wrong")[2].partition("## ")[0]
    messages = re.findall(r"^\| ([^|]+)", table, flags=re.MULTILINE)
    messages = [message for cell in messages for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) >= 5
    for message in messages:
        for part in message.split("..."):
            assert part.strip(" `") in text, message

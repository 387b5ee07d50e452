"""The snippets of README and docs do what they say; their commands exist."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from common.runs.settings import Group, list_groups
from tests.commands import load_settings
from tests.helpers import ROOT

DOCUMENTS = {path: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
EVERYTHING = "\n".join(DOCUMENTS.values())
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", EVERYTHING, flags=re.DOTALL)
MOST_LINES = 40
"""Of a section of the README: with figures and folded lines about a screen."""


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
    commands = re.findall(r"python (\d{3}-[\w-]+\.py[^\n`#]*)", EVERYTHING)
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
    explained = set(re.findall(r"`([a-z_]+)`", DOCUMENTS[ROOT / "docs" / "the-fit.md"]))
    not_machine = {name for name, group in list_groups(settings).items() if group is not Group.MACHINE}
    assert "learning_rate" in not_machine
    assert not_machine - explained == {"data", "parameters"}  # what it reads: the table of stages there


def test_make_targets_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", EVERYTHING, flags=re.MULTILINE))
    assert {"example", "own", "test"} <= named
    assert named <= set(targets)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    prose = re.sub(r"```.*?```", "", DOCUMENTS[path], flags=re.DOTALL)
    for link, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", prose):
        target = (path.parent / link) if link else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings], anchor


def test_no_section_of_the_front_door_is_longer_than_a_screen():
    for section in DOCUMENTS[ROOT / "README.md"].split("\n## "):
        assert len(section.splitlines()) <= MOST_LINES, section.splitlines()[0]


def test_messages_to_look_up_are_those_that_stages_print():
    sources = [*ROOT.glob("0*.py"), *(ROOT / "common").rglob("*.py")]
    text = " ".join(re.sub(r'"\n\s*f?"', "", path.read_text()) for path in sources)
    table = DOCUMENTS[ROOT / "docs" / "when-something-goes-wrong.md"]
    messages = re.findall(r"^\| ([^|]+)", table, flags=re.MULTILINE)
    messages = [message for cell in messages for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) >= 5
    for message in messages:
        for part in message.split("..."):
            assert part.strip(" `") in text, message

"""The command line of a stage: options over presets over defaults, a resumed run, errors in one line."""

import dataclasses
import sys

import pytest

from common.runs.folder import write_config
from common.runs.options import read_settings
from common.runs.settings import SettingsError, StageSettings

SCRIPT = '''"""What the stage does."""
import dataclasses, pathlib, typing
from common.runs.settings import AtLeastOne, Duration, Machine, Positive, StageSettings

@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Settings as a stage has them."""

    method: typing.Literal["adam", "exact"] = "adam"  # how
    rate: Positive[float] = 0.1  # of Adam, in units of the values
    weights: dict[str, float] = dataclasses.field(default_factory=dict)  # by source
    ceiling: float | None = None  # [kcal/mol] or none
    keep: bool = True  # keep them
    n_epochs: Duration[AtLeastOne[int]] = 10  # steps
    n_workers: Machine[AtLeastOne[int]] = 1  # processes
    resume: Machine[pathlib.Path | None] = None  # go on with this run
'''


@pytest.fixture
def kind(tmp_path, monkeypatch) -> type[StageSettings]:
    """The settings of a stage that stands in a folder of its own, with a preset."""
    (tmp_path / "stage.py").write_text(SCRIPT)
    (tmp_path / "configs" / "stage").mkdir(parents=True)
    (tmp_path / "configs" / "stage" / "quick.toml").write_text("rate = 0.5\nn_epochs = 2\nweights = {one = 2.0}\n")
    (tmp_path / "configs" / "stage" / "broken.toml").write_text("rate = 0.5\nspeed = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stage", raising=False)
    import stage

    return stage.Settings


def test_options_override_the_preset_which_overrides_the_defaults(kind):
    assert read_settings(kind, []) == kind()
    assert read_settings(kind, ["--preset", "quick"]) == kind(
        preset="quick", rate=0.5, n_epochs=2, weights={"one": 2.0}
    )
    assert read_settings(kind, ["--preset=quick", "--rate", "0.7"]).rate == 0.7
    assert read_settings(kind, ["--preset", "quick", "--weights", "two", "3"]).weights == {"two": 3.0}
    assert read_settings(kind, ["--preset", "quick", "--weights.one", "3"]).weights == {"one": 3.0}
    assert read_settings(kind, ["--ceiling", "5", "--no-keep"]) == kind(ceiling=5.0, keep=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "exakt"], "invalid choice 'exakt' for argument '--method'"),
        (["--rate", "fast"], "Error parsing --rate: could not convert string to float: 'fast'"),
        (["--rate", "-1"], "rate = -1.0: must be greater than 0"),
        (["--rate", "nan"], "rate = nan: must be a finite number"),
        (["--rat", "1"], "Unrecognized options: --rat"),
        (["--n-workers", "0"], "n_workers = 0: must be greater than or equal to 1"),
        (["--preset", "slow"], "slow.toml; there are broken, quick"),
        (["--preset", "broken"], "broken.toml: there is no setting 'speed'; there are preset, method"),
        (["--preset", "quick", "--resume", "somewhere"], "a resumed run has its own settings"),
    ],
)
def test_errors_are_one_line(kind, arguments, message):
    with pytest.raises(SettingsError) as caught:
        read_settings(kind, arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not set("╭╮│─") & set(str(caught.value))


def test_help_shows_every_field_with_its_comment(kind, capsys):
    with pytest.raises(SystemExit) as caught:
        read_settings(kind, ["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("What the stage does.")
    for field in dataclasses.fields(kind):
        assert f"--{field.name.replace('_', '-')}" in text
    assert "of Adam, in units of the values" in text


def test_a_resumed_run_has_its_own_settings(kind, tmp_path):
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    begun = kind(rate=0.3, n_epochs=4)
    write_config(run, begun)
    assert read_settings(kind, ["--resume", str(run)]) == dataclasses.replace(begun, resume=run)
    assert read_settings(kind, ["--resume", str(run), "--n-epochs", "8", "--n-workers", "2"]).n_epochs == 8
    for arguments, message in (
        (["--rate", "0.4"], "was made with --rate 0.3, and now 0.4 is asked for"),
        (["--n-epochs", "3"], "has --n-epochs 4; it may be given more, not 3"),
    ):
        with pytest.raises(SettingsError, match=message):
            read_settings(kind, ["--resume", str(run), *arguments])
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        read_settings(kind, ["--resume", str(tmp_path)])

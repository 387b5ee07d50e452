"""Settings: limits of values, groups, fingerprints, what a resumed run may change."""

import dataclasses
import pathlib
import typing

import pytest

from common.runs.settings import (
    AtLeastOne,
    Contents,
    Duration,
    Fraction,
    Group,
    Machine,
    NonNegative,
    Positive,
    SettingsError,
    StageSettings,
    check_contents,
    check_resumption,
    check_settings,
    fingerprint_settings,
    from_plain,
    list_groups,
    select_groups,
    to_plain,
)


@dataclasses.dataclass(frozen=True)
class Inner:
    __pydantic_config__: typing.ClassVar[dict] = {"extra": "forbid"}

    width: float = 1.0


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Settings as a stage has them."""

    method: typing.Literal["adam", "exact"] = "adam"
    rate: Positive[float] = 0.1
    strength: NonNegative[float] | typing.Literal["validation"] = 0.0
    fraction: Fraction[float] = 0.1
    weights: dict[str, NonNegative[float]] = dataclasses.field(default_factory=dict)
    inner: dict[str, Inner] = dataclasses.field(default_factory=lambda: {"a": Inner()})
    n_epochs: Duration[AtLeastOne[int]] = 10
    data: Contents[pathlib.Path] = pathlib.Path("outputs/data")
    n_workers: Machine[AtLeastOne[int] | None] = None

    def check(self) -> None:
        if self.method == "exact" and self.rate != 0.1:
            raise ValueError("an exact fit has no rate")


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"method": "exakt"}, "method = 'exakt': must be 'adam' or 'exact'"),
        ({"rate": -1.0}, "rate = -1.0: must be greater than 0"),
        ({"rate": float("nan")}, "rate = nan: must be a finite number"),
        ({"strength": -1.0}, "strength = -1.0: must be greater than or equal to 0, or must be 'validation'"),
        ({"strength": float("inf")}, "strength = inf: must be a finite number, or must be 'validation'"),
        ({"fraction": 1.0}, "fraction = 1.0: must be less than 1"),
        ({"weights": {"gen2": -2.0}}, "weights.gen2 = -2.0: must be greater than or equal to 0"),
        ({"inner": {"a": {"widht": 1.0}}}, "inner.a.widht = 1.0: there is no such name"),
        ({"n_epochs": 0}, "n_epochs = 0: must be greater than or equal to 1"),
        ({"n_workers": 0}, "n_workers = 0: must be greater than or equal to 1"),
        ({"ratte": 1.0}, "there is no setting 'ratte'; did you mean 'rate'?"),
        ({"method": "exact", "rate": 0.2}, "an exact fit has no rate"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_allowed(plain, message):
    with pytest.raises(SettingsError) as caught:
        from_plain(Settings, plain, "some.toml")
    assert str(caught.value).startswith("some.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_defaults_are_checked_as_well():
    with pytest.raises(SettingsError, match=r"rate = 0\.0"):
        check_settings(Settings(rate=0.0))
    assert check_settings(Settings()) == Settings()


def test_the_plain_record_gives_the_same_settings_back():
    settings = Settings(
        weights={"a": 2.0}, inner={"b": Inner(3.0)}, data=pathlib.Path("elsewhere"), strength="validation"
    )
    assert from_plain(Settings, to_plain(settings)) == settings
    assert set(to_plain(settings)) == {field.name for field in dataclasses.fields(Settings)}


def test_every_field_has_a_group():
    groups = list_groups(Settings)
    assert {name for name, group in groups.items() if group is Group.MACHINE} == {"preset", "n_workers"}
    assert groups["n_epochs"] is Group.DURATION
    assert groups["data"] is Group.CONTENTS
    assert groups["strength"] is groups["inner"] is Group.RESULT
    assert select_groups(Settings(), Group.DURATION, Group.CONTENTS) == {"n_epochs": 10, "data": "outputs/data"}


def test_the_fingerprint_is_of_what_determines_the_result():
    contents = {"data": "abc"}
    reference = fingerprint_settings(Settings(), contents)
    for same in (Settings(n_workers=3), Settings(data=pathlib.Path("moved")), Settings(n_epochs=20)):
        assert fingerprint_settings(same, contents) == reference
    for other in (Settings(rate=0.2), Settings(inner={}), Settings(strength="validation")):
        assert fingerprint_settings(other, contents) != reference
    assert fingerprint_settings(Settings(), {"data": "abd"}) != reference
    with pytest.raises(ValueError, match="contents are given"):
        fingerprint_settings(Settings(), {})


def test_a_resumed_run_may_get_longer_and_move_but_not_change():
    run = pathlib.Path("runs/one")
    check_resumption(Settings(n_epochs=20, n_workers=2, data=pathlib.Path("moved")), Settings(), run)
    with pytest.raises(SettingsError, match=r"runs/one: was made with --rate 0\.1, and now 0\.2 is asked for"):
        check_resumption(Settings(rate=0.2), Settings(), run)
    with pytest.raises(SettingsError, match=r"has --n-epochs 10; it may be given more, not 5"):
        check_resumption(Settings(n_epochs=5), Settings(), run)
    check_contents(Settings(), {"data": "abc"}, {"data": "abc"}, run)
    with pytest.raises(SettingsError, match=r"other contents of --data than outputs/data has now"):
        check_contents(Settings(), {"data": "abd"}, {"data": "abc"}, run)

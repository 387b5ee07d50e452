"""What a user may set in a stage: groups of settings, limits of values, the plain record, fingerprints.

A stage has one frozen dataclass ``Settings(StageSettings)`` at its top. The annotation of a field says what is allowed
there and to which group it belongs:

    method: Literal["adam", "exact"] = "adam"          determines the result
    learning_rate: Positive[float] = 0.01              the same, with a limit
    n_epochs: Duration[AtLeastOne[int]] = 1000         how long: may grow when a run is resumed
    data: Contents[pathlib.Path] = ...                 what the file holds determines the result, not what it is called
    n_workers: Machine[AtLeastOne[int] | None] = None  where and with what means: changes no result

A field without a group determines the result. ``common.runs.options`` makes the command line of it.
"""

import collections.abc
import dataclasses
import enum
import pathlib
import types
import typing

import annotated_types
import pydantic

from common.files.fingerprints import compute_fingerprint
from common.reporting.console import suggest_name

_T = typing.TypeVar("_T")

Positive = typing.Annotated[_T, annotated_types.Gt(0)]
NonNegative = typing.Annotated[_T, annotated_types.Ge(0)]
AtLeastOne = typing.Annotated[_T, annotated_types.Ge(1)]
Fraction = typing.Annotated[_T, annotated_types.Ge(0), annotated_types.Lt(1)]
"""At least 0, less than 1."""
Share = typing.Annotated[_T, annotated_types.Ge(0), annotated_types.Le(1)]
"""From 0 to 1."""


class Group(enum.Enum):
    """What a setting means for the result of a run."""

    RESULT = "determines the result"
    CONTENTS = "its contents determine the result, not its path"
    DURATION = "how long; may grow when a run is resumed"
    MACHINE = "changes no result"


Contents = typing.Annotated[_T, Group.CONTENTS]
Duration = typing.Annotated[_T, Group.DURATION]
Machine = typing.Annotated[_T, Group.MACHINE]


class SettingsError(ValueError):
    """A setting is wrong; the message is one line that says which, and what is allowed."""


@dataclasses.dataclass(frozen=True)
class StageSettings:
    """What every stage has."""

    __pydantic_config__: typing.ClassVar[dict[str, typing.Any]] = {"extra": "forbid", "allow_inf_nan": False}

    preset: Machine[str | None] = None  # start from configs/<stage>/<PRESET>.toml; further options override it

    def check(self) -> None:
        """What no single annotation can say, e.g. that two values fit together.

        Raises:
            ValueError: a setting is wrong.
        """


S = typing.TypeVar("S", bound=StageSettings)


def to_plain(settings: StageSettings) -> dict[str, typing.Any]:
    """All settings as what JSON and TOML can hold, by name; the record that everything else is made of."""
    return pydantic.TypeAdapter(type(settings)).dump_python(settings, mode="json")


def from_plain(kind: type[S], plain: collections.abc.Mapping[str, typing.Any], where: str = "") -> S:
    """Settings from plain values; what is not named keeps its default.

    Args:
        kind: the class of the settings.
        plain: by name, as :func:`to_plain` gives them.
        where: begins the message, e.g. the file that they come from.

    Raises:
        SettingsError: a name is unknown, or a value not allowed.
    """
    try:
        settings = pydantic.TypeAdapter(kind).validate_python(dict(plain))
    except pydantic.ValidationError as error:
        raise SettingsError(_describe_errors(kind, error, where)) from error
    try:
        settings.check()
    except ValueError as error:
        raise SettingsError(f"{where}: {error}" if where else str(error)) from error
    return settings


def check_settings(settings: S) -> S:
    """The same settings, checked against the annotations of their fields; defaults are checked, too.

    Raises:
        SettingsError: a value is not allowed.
    """
    return from_plain(type(settings), pydantic.TypeAdapter(type(settings)).dump_python(settings, warnings=False))


def list_groups(kind: type[StageSettings]) -> dict[str, Group]:
    """The group of each field."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: _find_group(hints[field.name]) for field in dataclasses.fields(kind)}


def select_groups(settings: StageSettings, *groups: Group) -> dict[str, typing.Any]:
    """The plain values of the settings that belong to ``groups``."""
    of = list_groups(type(settings))
    return {name: value for name, value in to_plain(settings).items() if of[name] in groups}


def fingerprint_settings(settings: StageSettings, contents: collections.abc.Mapping[str, str]) -> str:
    """Names everything that determines the result, wherever it lies and however long it is run.

    Args:
        settings: of a stage.
        contents: for each field of the group ``CONTENTS`` what names the contents, e.g. their hash; "" where the
            setting is None.
    """
    wanted = {name for name, group in list_groups(type(settings)).items() if group is Group.CONTENTS}
    if set(contents) != wanted:
        raise ValueError(f"contents are given for {sorted(contents)}, the settings have {sorted(wanted)}")
    return compute_fingerprint([select_groups(settings, Group.RESULT), dict(contents)])


def check_resumption(settings: StageSettings, before: StageSettings, run: pathlib.Path) -> None:
    """Whether a run that was begun with ``before`` may go on with ``settings``; the contents of files aside.

    Raises:
        SettingsError: a setting that determines the result is another, or a duration has shrunk; each is named.
    """
    groups = list_groups(type(settings))
    now, then = to_plain(settings), to_plain(before)
    for name, group in groups.items():
        option = f"--{name.replace('_', '-')}"
        if group is Group.RESULT and now[name] != then[name]:
            raise SettingsError(
                f"{run}: was made with {option} {then[name]}, and now {now[name]} is asked for; leave the option out, "
                "or start a new run"
            )
        if group is Group.DURATION and now[name] < then[name]:
            raise SettingsError(f"{run}: has {option} {then[name]}; it may be given more, not {now[name]}")


def check_contents(
    settings: StageSettings,
    contents: collections.abc.Mapping[str, str],
    before: collections.abc.Mapping[str, str],
    run: pathlib.Path,
) -> None:
    """Whether the files that count hold what they held when a run was begun, wherever they lie now.

    Args:
        settings: that the run is to go on with.
        contents, before: what names the contents now and then, as :func:`fingerprint_settings` takes them.
        run: its folder.

    Raises:
        SettingsError: the contents of one are others; it is named.
    """
    for name, value in contents.items():
        if value != before.get(name):
            raise SettingsError(
                f"{run}: was made with other contents of --{name.replace('_', '-')} than {getattr(settings, name)} has "
                "now (a path may change, contents may not); start a new run"
            )


def _find_group(annotation: typing.Any) -> Group:
    if typing.get_origin(annotation) is typing.Annotated:
        groups = [one for one in annotation.__metadata__ if isinstance(one, Group)]
        return groups[0] if groups else _find_group(annotation.__origin__)
    return Group.RESULT


def _describe_errors(kind: type[StageSettings], error: pydantic.ValidationError, where: str) -> str:
    """One line for the first setting that is wrong; of a union all that would be allowed."""
    errors = error.errors(include_url=False)
    first = errors[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "unexpected_keyword_argument" and len(first["loc"]) == 1:
        known = [field.name for field in dataclasses.fields(kind)]
        text = f"there is no setting {name!r}{suggest_name(name, known)}"
    else:
        alike = [one for one in errors if one["loc"][:1] == first["loc"][:1] and one["input"] is first["input"]]
        allowed = dict.fromkeys(_soften(str(one["msg"])) for one in alike)
        place = ".".join(str(part) for part in first["loc"][: _count_names(kind, first["loc"])])
        text = f"{place} = {first['input']!r}: {', or '.join(allowed)}"
    return f"{where}: {text}" if where else text


def _soften(message: str) -> str:
    return (
        message.removeprefix("Value error, ")
        .replace("Input should be", "must be")
        .replace("Unexpected keyword argument", "there is no such name")
    )


def _count_names(kind: type[StageSettings], location: tuple[int | str, ...]) -> int:
    """How many parts of pydantic's location name a setting; those that name the member of a union do not."""
    annotation: typing.Any = typing.get_type_hints(kind).get(str(location[0]))
    is_union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    return 1 if is_union else len(location)

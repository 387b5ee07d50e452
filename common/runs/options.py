"""The command line of a stage, made from its settings.

Defaults come from the top of the script, over these a preset (``--preset NAME``, a TOML file in configs/<stage>/), or
the settings of the run that is resumed, and over these the options.
"""

import collections.abc
import contextlib
import dataclasses
import inspect
import io
import pathlib
import re
import sys
import tomllib
import typing

import tyro

from common.runs.folder import read_settings_of_run
from common.runs.settings import S, SettingsError, check_resumption, check_settings, from_plain

_BOX = re.compile(r"[╭╮╰╯│]|─+")


def read_settings(kind: type[S], arguments: collections.abc.Sequence[str] | None = None) -> S:
    """The settings that the command line asks for, all checked.

    Where ``kind`` has a field ``resume`` and it is given, everything that is not on the command line comes from that
    run, and what determines its result may not be another.

    Args:
        kind: the settings of a stage; its module's docstring is the help text.
        arguments: of the command line; those of this process by default.

    Raises:
        SettingsError: an option, a preset or a value is wrong; the message is one line.
        FileNotFoundError: the run to resume is none.
        SystemExit: help was asked for.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    base = check_settings(kind())
    preset, resume = _find_value(arguments, "--preset"), _find_value(arguments, "--resume")
    has_runs = any(field.name == "resume" for field in dataclasses.fields(kind))
    if resume is not None and has_runs:
        if preset is not None:
            raise SettingsError("--preset and --resume: a resumed run has its own settings; leave one of them out")
        base = read_settings_of_run(pathlib.Path(resume), kind)
    elif preset is not None:
        base = read_preset(kind, preset)
    settings = check_settings(_parse(kind, _free_tables(base, arguments), arguments))
    if resume is not None and has_runs:
        check_resumption(settings, base, pathlib.Path(resume))
    return settings


def read_preset(kind: type[S], name: str) -> S:
    """The settings of a preset; what it does not name keeps its default.

    Raises:
        SettingsError: there is no such preset, or something is wrong in it.
    """
    folder = _find_presets(kind)
    path = folder / f"{name}.toml"
    if not path.is_file():
        names = sorted(one.stem for one in folder.glob("*.toml"))
        raise SettingsError(f"--preset {name}: no such file {path}; there are {', '.join(names) or 'none'}")
    try:
        plain = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: damaged ({error})") from error
    return from_plain(kind, {**plain, "preset": name}, str(path))


def _find_presets(kind: type[S]) -> pathlib.Path:
    script = pathlib.Path(inspect.getfile(kind))
    return script.parent / "configs" / script.stem


def _find_value(arguments: collections.abc.Sequence[str], option: str) -> str | None:
    """The value of an option that has to be known before the others are read."""
    for i, word in enumerate(arguments):
        if word == option and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _free_tables(base: S, arguments: collections.abc.Sequence[str]) -> S:
    """The base without the tables that are given anew: of a table with entries tyro takes their values alone."""
    given: dict[str, typing.Any] = {
        field.name: {}
        for field in dataclasses.fields(base)
        if isinstance(getattr(base, field.name), dict) and f"--{field.name.replace('_', '-')}" in arguments
    }
    return dataclasses.replace(base, **given)


def _parse(kind: type[S], base: S, arguments: list[str]) -> S:
    """The base with the options of the command line; errors of tyro as one line instead of a box."""
    module = inspect.getmodule(kind)
    if {"-h", "--help"} & set(arguments) and module is not None:
        print(module.__doc__)  # as it stands; tyro would run its lines together
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            return tyro.cli(kind, default=base, args=arguments, description="", config=(tyro.conf.AvoidSubcommands,))
    except SystemExit as end:
        if not end.code:
            raise
        raise SettingsError(_flatten_box(heard.getvalue())) from None


def _flatten_box(text: str) -> str:
    """What tyro says in a box, up to its first rule, as one line."""
    lines = [line for line in text.splitlines() if line.strip()]
    told: list[str] = []
    for line in lines[1:]:
        if re.fullmatch(r"[│\s]*─{5,}[│\s]*|╰─+╯", line.strip()):
            break
        told.append(_BOX.sub("", line).strip())
    return " ".join(told).rstrip(".") + "; --help says what there is"

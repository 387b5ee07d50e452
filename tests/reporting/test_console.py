"""What the stages print: the next command fits what was written."""

import pathlib

from common.reporting.console import format_left_out, suggest_command


def test_the_next_command_names_what_is_not_where_the_next_stage_looks():
    default = pathlib.Path("outputs/data-raw")
    assert suggest_command("002-x.py", {"--input": (default, default)}) == "next: python 002-x.py"
    other = {"--input": (pathlib.Path("my data"), default), "--output": (default, default)}
    assert suggest_command("002-x.py", other) == "next: python 002-x.py --input 'my data'"


def test_only_what_was_left_out_is_counted():
    assert format_left_out({"seen before": 0, "conformers": 0}) == ""
    assert format_left_out({"seen before": 2, "conformers": 0, "others": 1}) == "; left out: 2 seen before, 1 others"

"""What stage 005 prints last: where to look, and what to do with the result."""

import pathlib
import sys

from common.analysis.console import print_what_to_do


def test_the_last_words_say_where_to_look_and_what_to_use(monkeypatch, capsys):
    monkeypatch.setattr(sys, "orig_argv", ["python"])
    print_what_to_do([pathlib.Path("my runs/1"), pathlib.Path("my runs/2")])
    text = capsys.readouterr().out
    assert "python -m tensorboard.main --logdir 'my runs'" in text
    assert "my runs/1/force-field.offxml" in text
    assert "my runs/2/force-field.offxml" in text


def test_without_a_run_there_is_nothing_to_say(capsys):
    print_what_to_do([])
    assert capsys.readouterr().out == ""

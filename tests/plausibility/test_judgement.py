"""From doubts about entries to what a stage does."""

import pytest

from common.plausibility.judgement import judge, list_suspicions

GRADIENTS = {"gradients": "the constant is -800"}


def make(n_doubted: int, doubt: dict[str, str]) -> dict[str, dict[str, str]]:
    return {f"own/{i}": doubt for i in range(n_doubted)}


def test_a_frequent_doubt_ends_the_stage_and_says_what_it_looks_like():
    with pytest.raises(ValueError, match=r"own: 8 of 8 entries: these forces look like gradients.*own/0: the const"):
        judge({"own": (make(8, GRADIENTS), 8)}, "refuse")
    [line] = judge({"own": (make(8, GRADIENTS), 8)}, "warn")
    assert line.startswith("WARNING: own: 8 of 8 entries: these forces look like gradients")


def test_a_rare_doubt_and_a_harmless_one_are_lines():
    [line] = judge({"own": (make(1, GRADIENTS), 100)}, "refuse")
    assert line == "  doubt: own: 1 of 100 entries: these forces look like gradients: their sign is wrong " + (
        "(own/0: the constant is -800)"
    )
    [line] = judge({"own": (make(8, {"duplicates": "2 of 9 conformers repeat another"}), 8)}, "refuse")
    assert "conformers occur twice" in line


def test_kinds_are_listed_the_most_frequent_first():
    doubts = {"a": {"bohr": "x", "order": "y"}, "b": {"order": "z"}}
    assert [(one.kind, one.names) for one in list_suspicions(doubts, 9)] == [("order", ("a", "b")), ("bohr", ("a",))]

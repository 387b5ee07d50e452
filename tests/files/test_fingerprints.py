"""Fingerprints name contents, and nothing else."""

import hashlib

from common.files.fingerprints import compute_content_hash, compute_fingerprint


def test_equal_values_have_equal_names_and_others_do_not():
    assert compute_fingerprint({"a": 1, "b": [2.0, None]}) == compute_fingerprint({"b": (2.0, None), "a": 1})
    values = [{"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": [1]}, {"b": 1}, {"a": None}]
    assert len({compute_fingerprint(value) for value in values}) == len(values)


def test_a_name_is_sixteen_hexadecimal_digits_and_stays_the_same():
    assert compute_fingerprint([1, "a"]) == hashlib.sha256(b'[1, "a"]').hexdigest()[:16]


def test_contents_count_and_neither_names_nor_times(tmp_path):
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    assert compute_content_hash([tmp_path / "a"]) == compute_content_hash([tmp_path / "b"])
    assert compute_content_hash([tmp_path / "a"]) != compute_content_hash([tmp_path / "c"])


def test_where_one_file_ends_and_the_next_begins_counts(tmp_path):
    for name, content in (("a", b"xy"), ("b", b"z"), ("c", b"x"), ("d", b"yz")):
        (tmp_path / name).write_bytes(content)
    hashes = [compute_content_hash([tmp_path / name for name in names]) for names in ("ab", "cd", "ba", "abb")]
    assert len(set(hashes)) == 4

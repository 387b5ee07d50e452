"""The folder of an analysis: whole or not there, and one for each."""

import pytest

from common.analysis.folder import create_analysis_folder


def test_an_analysis_that_dies_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), create_analysis_folder(tmp_path / "out") as (folder, final):
        (folder / "metrics.json").write_text("{")
        assert not final.exists()
        raise KeyboardInterrupt
    assert list((tmp_path / "out").iterdir()) == []
    for _ in range(3):  # within the same second
        with create_analysis_folder(tmp_path / "out") as (folder, final):
            (folder / "metrics.json").write_text("{}")
        assert (final / "metrics.json").is_file()
    assert len(list((tmp_path / "out").iterdir())) == 3

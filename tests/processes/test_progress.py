"""Progress: what was gone through comes out, and a log file is not flooded."""

from common.processes.progress import LOG_INTERVAL, TERMINAL_INTERVAL, make_bar


def test_items_pass_through(capsys):
    assert list(make_bar([3, 1, 2], desc="count", unit="item")) == [3, 1, 2]
    assert "count: 100%" in capsys.readouterr().err


def test_in_a_log_file_there_is_a_line_now_and_then(monkeypatch):
    assert make_bar(total=5).mininterval == LOG_INTERVAL
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert make_bar(total=5).mininterval == TERMINAL_INTERVAL

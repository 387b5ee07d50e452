"""One page over everything that lies in a folder of outputs: reports and runs, each with its headline figure.

    python -m common.runs.index                  writes outputs/index.html
    python -m common.runs.index outputs/example

Nothing is kept for it: what a report says of itself stands in its first lines, what a run came to in its summary.
"""

import argparse
import collections.abc
import datetime
import html.parser
import json
import pathlib
import sys
import typing

from common.files.atomic import replace_atomically
from common.reporting.numbers import format_number
from common.reporting.pages import render_page
from common.runs.folder import CONFIG, SUMMARY

TEMPLATE = pathlib.Path(__file__).parent / "templates" / "index.html"
PAGE = "index.html"
REPORT = "report.html"
NOT_ENDED = "has not ended"

_Summary = collections.abc.Mapping[str, typing.Any]


class Item(typing.NamedTuple):
    """A report or a run: where it lies (relative to the page), what it is, what it came to, and when it was written."""

    path: str
    title: str
    kind: str
    headline: str
    when: str


class _Head(html.parser.HTMLParser):
    """The title of a page, and the paragraphs of its header by their class."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = "title" if tag == "title" else dict(attrs).get("class") if tag == "p" else None
        if name in ("title", "kicker", "verdict") and name not in self.parts:
            self._open = name
            self.parts[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "title"):
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.parts[self._open] += data


def read_head(path: pathlib.Path) -> dict[str, str]:
    """What a report says of itself: ``title``, ``kicker`` and ``verdict``, where it has them."""
    parser = _Head()
    parser.feed(path.read_text(errors="replace"))
    return {name: " ".join(text.split()) for name, text in parser.parts.items()}


def describe_run(summary: _Summary) -> tuple[str, str]:
    """What kind of run wrote a summary, and what it came to, in a few words."""
    for needed, kind, describe in _KINDS:
        if needed <= set(summary):
            try:
                return kind, describe(summary)
            except (KeyError, TypeError, AttributeError):
                break
    return "run", "has ended"


def _describe_fit(summary: _Summary) -> str:
    split = next(name for name in ("test", "validation", "train") if "loss_forces_final" in summary["splits"][name])
    own = summary["splits"][split]
    roots = [format_number(own[f"loss_forces_{state}"] ** 0.5) for state in ("initial", "final")]
    return f"root of the force loss {roots[0]} to {roots[1]} kcal/mol/Å ({split}, {own['n_molecules']} molecules)"


def _describe_potential(summary: _Summary) -> str:
    split = next(name for name in ("test", "validation", "train") if name in summary["errors"])
    errors = summary["errors"][split]
    return f"force MAE {format_number(errors['force_mae'])} kcal/mol/Å ({split})"


def _describe_campaign(summary: _Summary) -> str:
    return f"{summary['outcome']}, {summary['rounds']} rounds of training"


_KINDS: tuple[tuple[set[str], str, collections.abc.Callable[[_Summary], str]], ...] = (
    ({"loss_initial", "loss_final", "splits"}, "fit of a force field", _describe_fit),
    ({"errors", "n_frames"}, "neural potential", _describe_potential),
    ({"outcome", "rounds"}, "active learning", _describe_campaign),
    ({"outcome"}, "stable dynamics", lambda summary: str(summary["outcome"])),
    (
        {"loss_test", "best_epoch"},
        "coarse-graining",
        lambda summary: f"loss on test {format_number(summary['loss_test'])} (epoch {summary['best_epoch']})",
    ),
    (
        {"validation_loss", "epochs"},
        "molecule generator",
        lambda summary: f"validation loss {format_number(summary['validation_loss'])} ({summary['epochs']} epochs)",
    ),
)


def list_items(outputs: pathlib.Path) -> tuple[list[Item], list[Item]]:
    """Reports and runs below a folder, the latest first."""
    pages, runs = [], []
    for path in outputs.rglob(REPORT):
        head = read_head(path)
        name = str(path.relative_to(outputs))
        pages.append(
            Item(name, head.get("title", name), head.get("kicker", "report"), head.get("verdict", ""), _date(path))
        )
    for config in outputs.rglob(CONFIG):
        folder = config.parent
        kind, headline = "run", NOT_ENDED
        if (folder / SUMMARY).is_file():
            try:
                kind, headline = describe_run(json.loads((folder / SUMMARY).read_text()))
            except ValueError:
                headline = f"{SUMMARY} is damaged"
        runs.append(Item(str(folder.relative_to(outputs)), folder.name, kind, headline, _date(config)))
    return _sort(pages), _sort(runs)


def _sort(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda one: (one.when, one.path), reverse=True)


def _date(path: pathlib.Path) -> str:
    return datetime.datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")


def write_index(outputs: pathlib.Path) -> pathlib.Path:
    """Writes the page into the folder that it is about.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not outputs.is_dir():
        raise FileNotFoundError(f"{outputs}: no such folder; run a stage first, or name the folder of its outputs")
    pages, runs = list_items(outputs)
    n_open = sum(one.headline == NOT_ENDED for one in runs)
    title = f"What lies in {outputs.resolve().name}"
    text = render_page(TEMPLATE, title=title, pages=pages, runs=runs, n_open=n_open)
    with replace_atomically(outputs / PAGE) as beside:
        beside.write_text(text)
    return outputs / PAGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=pathlib.Path, nargs="?", default=pathlib.Path("outputs"))
    try:
        print(f"wrote {write_index(parser.parse_args().outputs)}")
    except OSError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

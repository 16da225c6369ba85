"""The chart of a comparison: a bar for each drain rate, as SVG made by hand."""

from collections.abc import Sequence
from html import escape
from typing import Final

from mainspring.bench.rivals.figures import Summary
from mainspring.bench.rivals.table import rounded

_WIDTH: Final = 760
_BARS_FROM: Final = 190
_BARS_TO: Final = 640
_ROW: Final = 30
_TOP: Final = 56

# It brings its own ground, so that it can be read on a light page and on a dark one.
_STYLE: Final = """\
  <style>
    .ground { fill: #ffffff; stroke: #d0d7de; }
    text { fill: #1f2328; font: 14px system-ui, sans-serif; }
    .title { font-weight: 600; font-size: 15px; }
    .name { text-anchor: end; }
    .theirs { fill: #8c959f; }
    .ours { fill: #1a7f5a; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #161b22; stroke: #30363d; }
      text { fill: #e6edf3; }
      .theirs { fill: #6e7681; }
      .ours { fill: #3fb984; }
    }
  </style>"""


def as_svg(summaries: Sequence[Summary], title: str) -> str:
    """Return the chart of ``summaries``, in their order; its scale is linear and begins at 0."""
    height = _TOP + _ROW * len(summaries) + 14
    most = max((one.drain for one in summaries), default=1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"',
        f'    viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title">',
        f'  <title id="title">{escape(title)}</title>',
        _STYLE,
        '  <rect class="ground" x="0.5" y="0.5" rx="8"',
        f'    width="{_WIDTH - 1}" height="{height - 1}"/>',
        f'  <text class="title" x="20" y="32">{escape(title)}</text>',
    ]
    for i, one in enumerate(summaries):
        lines += _bar(one, _TOP + _ROW * i, most)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(one: Summary, top: int, most: float) -> list[str]:
    length = max(1.0, (_BARS_TO - _BARS_FROM) * one.drain / most)
    kind = "ours" if one.name == "mainspring" else "theirs"
    base = top + 16
    return [
        f'  <text class="name" x="{_BARS_FROM - 10}" y="{base}">{escape(one.name)}</text>',
        f'  <rect class="{kind}" x="{_BARS_FROM}" y="{top + 2}" rx="2"',
        f'    width="{length:.1f}" height="20"/>',
        f'  <text x="{_BARS_FROM + length + 8:.1f}" y="{base}">{rounded(one.drain)} /s</text>',
    ]

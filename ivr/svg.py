"""SVG written by hand: the pieces all pictures share."""

from collections.abc import Sequence
from html import escape

INK, FAINT, BLUE, RED, GRID = "#1c2530", "#66727f", "#1f6feb", "#c62828", "#e3e7ec"


def svg(width: int, height: int, body: Sequence[str], title: str) -> str:
    """A picture of these pieces, with a title for who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = INK) -> str:
    """A piece of text, escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    """A straight line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"/>'
    )

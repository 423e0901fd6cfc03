"""Plots as SVG, written by hand: lines on logarithmic axes, and bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#0b6e4f", "#c1440e", "#3b5ba5", "#8a6d00", "#7a4988", "#555555")
_STYLE = "font-family:sans-serif;font-size:12px;fill:#333"


def lines(title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return a line chart with logarithmic axes; one line for each name."""
    right = max(190, 20 + 7 * max(map(len, series)))  # room for the names
    width, height, left, top, bottom = 490 + right, 360, 60, 40, 50
    points = [point for some in series.values() for point in some if point[1] > 0]
    (x_low, x_high), (y_low, y_high) = (_decades([point[axis] for point in points]) for axis in (0, 1))

    def x(value: float) -> float:
        return left + (math.log10(value) - x_low) / (x_high - x_low) * (width - left - right)

    def y(value: float) -> float:
        return height - bottom - (math.log10(value) - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = [_text(left, 22, title, "font-weight:bold")]
    for power in range(x_low, x_high + 1):
        parts += [
            _line(x(10**power), top, x(10**power), height - bottom),
            _text(x(10**power), height - bottom + 18, _short(power), "text-anchor:middle"),
        ]
    for power in range(y_low, y_high + 1):
        parts += [
            _line(left, y(10**power), width - right, y(10**power)),
            _text(left - 6, y(10**power) + 4, _short(power), "text-anchor:end"),
        ]
    parts += [
        _text((left + width - right) / 2, height - 12, x_label, "text-anchor:middle"),
        _text(left, 36, y_label, "font-size:11px"),
    ]
    for i, (name, some) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        shown = [(x(a), y(b)) for a, b in some if b > 0]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in shown)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in shown]
        parts.append(_text(width - right + 12, top + 14 + 20 * i, name, f"fill:{colour};font-weight:bold"))
    return _svg(width, height, parts)


def bars(title: str, unit: str, values: Mapping[str, float]) -> str:
    """Return horizontal bars on a linear axis, each with its value."""
    width, left, row = 680, 190, 26
    height = 50 + row * len(values)
    longest = max(values.values())
    parts = [_text(10, 22, title, "font-weight:bold")]
    for i, (name, value) in enumerate(values.items()):
        top = 40 + i * row
        length = max(1.0, value / longest * (width - left - 110))
        colour = COLOURS[0] if name.startswith("ours") else "#9aa5b1"
        parts += [
            _text(left - 8, top + 13, name, "text-anchor:end"),
            f'<rect x="{left}" y="{top}" width="{length:.1f}" height="18" fill="{colour}"/>',
            _text(left + length + 6, top + 13, f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"),
        ]
    return _svg(width, height, parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _short(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{_STYLE};{style}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>"]) + "\n"

"""Render HTML pages from the templates (jinja2, autoescape on) and the static files of this package."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vireid.evaluation.report import DAGGER


@dataclass(frozen=True)
class PageImage:
    """An image of a page as a data URI; `dark` replaces it on dark pages, an empty `uri` leaves a blank place."""

    uri: str
    alt: str
    dark: str = ""


def render_page(template: str, page: object, *, script: str = "") -> str:
    """Render a page as a single file that opens offline.

    The style sheet and the script are inlined. The Content-Security-Policy of the page allows only these two, by their
    SHA-256 digests, and images from data URIs.

    Args:
        template: File name in `templates/`.
        page: Context of the template, under the name `page`. All its text is escaped.
        script: File name of a script in `static/`; empty for a page without a script.

    Returns:
        The HTML text.
    """
    style, code = read_static("style.css"), read_static(script) if script else ""
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}"
    if code:
        policy += f"; script-src {_digest(code)}"
    return (
        _environment()
        .get_template(template)
        .render(page=page, style=Markup(style), script=Markup(code), policy=policy, dagger=DAGGER)
    )


@cache
def read_static(name: str) -> str:
    """Read a file of `static/` as text, with `\\n` as line end."""
    text = files("vireid.visualize").joinpath("static").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("vireid.visualize"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _digest(text: str) -> str:
    """Source expression of a Content-Security-Policy for an inlined text."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

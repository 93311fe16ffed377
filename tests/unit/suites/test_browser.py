"""The page of a suite in a real browser: no error, no request, something to see at both widths."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from vireid.suites.page import html
from vireid.suites.tables import tables

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--enable-logging=stderr",
]


@pytest.fixture
def page(tmp_path, mixed):
    file = tmp_path / "report.html"
    file.write_text(html(mixed, tables(mixed)), encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1280, 400])
def test_opens_without_errors_and_without_a_network(page, tmp_path, width):
    shot, net = tmp_path / "shot.png", tmp_path / "net.json"
    places = [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={net}", f"--screenshot={shot}"]
    command = [str(BROWSER), *FLAGS, *places, f"--window-size={width},900", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    picture = np.asarray(Image.open(shot).convert("L"))
    assert picture.shape[1] == width
    assert (picture < 100).mean() > 0.002  # dark letters on light paper
    events = [event.get("params", {}) for event in json.loads(net.read_text())["events"]]
    asked = {event["url"] for event in events if str(event.get("initiator", "")).startswith(("file", "null"))}
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]  # the browser's own calls have no page

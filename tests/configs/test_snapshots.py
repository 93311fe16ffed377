"""The resolved form of each composition is the one in `snapshots/`, and it loads to itself."""

from __future__ import annotations

import difflib

import snapshot

from vireid.config import load_checked
from vireid.config.show import differences, resolved_text, write_resolved


def test_resolved_configs_are_unchanged():
    stored, current = snapshot.stored(), snapshot.current()
    changes = [
        line
        for name in sorted(stored.keys() | current.keys())
        for line in difflib.unified_diff(
            stored.get(name, "").splitlines(), current.get(name, "").splitlines(), name, name, n=0, lineterm=""
        )
    ]
    text = "\n".join(changes)
    assert not text, f"resolved configs have changed; if this is intended, run `make snapshot`:\n{text}"


def test_a_resolved_config_resolves_to_itself():
    stored = snapshot.stored()
    assert len(stored) > 50
    again = {name: resolved_text(snapshot.resolvable(snapshot.SNAPSHOTS / name)) for name in stored}
    assert again == stored


def test_a_written_config_has_no_differences(configs, tmp_path):
    checked = load_checked(configs / "sysu" / "mmd.yml")
    write_resolved(checked, tmp_path / "config.yml")
    assert (tmp_path / "config.yml").read_text() == snapshot.stored()["sysu/mmd.yml"]
    assert differences((tmp_path / "config.yml").read_text(), checked) == []
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]

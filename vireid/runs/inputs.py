"""Everything that the numbers of a run were made from: listings, plug-in code and files that the config names.

Digests are stored with each checkpoint and with the results, and compared when a run is resumed, when results are
collected, and when two rows are held against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vireid.runs.listing_record import ListingRecord, changes, summary_changes

NOT_RECORDED = (
    "this run does not record its training listing (written by an older version), so changes of the data since then"
    " cannot be noticed"
)
MISSING = "missing"  # in place of the digest of a file that does not exist


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """The inputs of a run on this machine, now.

    Args:
        training: Training listing, before any identities are held out.
        test: Test listing.
        plugins: Source file of a plug-in ("my/losses.py") -> SHA-256.
        files: Config key ("WEIGHTS") -> SHA-256 of the file or folder that it names, or `MISSING`.
    """

    training: ListingRecord
    test: ListingRecord
    plugins: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values: digests and counts of the listings, digests of the rest."""
        return {
            "training": self.training.summary,
            "test": self.test.summary,
            "test_images": self.test.image_digest,
            "plugins": dict(self.plugins),
            "files": dict(self.files),
        }

    def training_changes(
        self,
        stored: Mapping[str, Any],
        listing: ListingRecord | None = None,
        *,
        files: bool = True,
        compared: Callable[[str], bool] = lambda key: True,
    ) -> list[str]:
        """What changed since a run was trained, a sentence each: the training listing, the plug-ins and the files.

        Args:
            stored: `to_json` of the run.
            listing: Its training listing, where that is still there; then the images that changed are named.
            files: Whether files that the config names are compared.
            compared: Which of these, by config key.
        """
        now, old, found = self.to_json(), stored.get("training") or {}, []
        if old and old.get("digest") != self.training.digest:
            known = listing is not None and listing.digest == old.get("digest")
            lines = changes(listing, self.training) if known and listing else summary_changes(old, now["training"])
            found.append(f"the training listing changed: {', '.join(lines)}")
        elif old and (lines := summary_changes(old, now["training"])):
            found.append(f"the training images changed: {', '.join(lines)}")
        found += code_changes(stored, now)
        return found + (file_changes(stored, now, compared=compared) if files else [])

    def test_changes(self, stored: Mapping[str, Any]) -> list[str]:
        """What changed in the test listing, in at most one sentence."""
        return input_changes({"test": stored.get("test")}, {"test": self.test.summary})


def input_changes(
    stored: Mapping[str, Any], now: Mapping[str, Any], *, compared: Callable[[str], bool] = lambda key: True
) -> list[str]:
    """What changed between two values of `RunInputs.to_json`, a sentence each; empty where nothing did.

    Args:
        stored: Of a run that was made before.
        now: Of a run that would be made now.
        compared: Which keys of `files` are compared. A file that does not exist any more is not: nothing replaced it.
    """
    found = []
    for split in ("training", "test"):
        old, new = stored.get(split), now.get(split)
        if old and new and (lines := summary_changes(old, new)):
            found.append(f"the {split} listing changed: {', '.join(lines)}")
    return [*found, *code_changes(stored, now), *file_changes(stored, now, compared=compared)]


def code_changes(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Changes of plug-in files."""
    if "plugins" not in stored or "plugins" not in now:
        return []
    old, new = stored["plugins"], now["plugins"]
    words = {True: "changed", False: "is new"}
    found = [f"the plug-in {name} {words[name in old]}" for name in new if old.get(name) != new[name]]
    return found + [f"the plug-in {name} is not imported any more" for name in old if name not in new]


def file_changes(
    stored: Mapping[str, Any], now: Mapping[str, Any], *, compared: Callable[[str], bool] = lambda key: True
) -> list[str]:
    """Changes of the content of files that the config names."""
    old, new = stored.get("files") or {}, now.get("files") or {}
    return [
        f"the content of the file that {key} names changed"
        for key, value in new.items()
        if compared(key) and key in old and MISSING not in (value, old[key]) and value != old[key]
    ]

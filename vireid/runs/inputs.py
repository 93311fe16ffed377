"""Inputs of a run: digests of its listings, its plug-in code and the files that its config names.

The digests are stored with each checkpoint and with the results. They are compared when a run is resumed, when results
are collected, and when two rows of a suite are compared.
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
        """Return plain values: digests and counts of the listings, digests of the rest."""
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
        """Return what changed since a run was trained, one sentence for each of listing, plug-ins and files.

        Args:
            stored: `to_json` of the run.
            listing: Its training listing, if it still exists; then the changed images are named.
            files: Whether files that the config names are compared.
            compared: Returns whether the file of a config key is compared.
        """
        now, old, sentences = self.to_json(), stored.get("training") or {}, []
        if old and old.get("digest") != self.training.digest:
            known = listing is not None and listing.digest == old.get("digest")
            lines = changes(listing, self.training) if known and listing else summary_changes(old, now["training"])
            sentences.append(f"the training listing changed: {', '.join(lines)}")
        elif old and (lines := summary_changes(old, now["training"])):
            sentences.append(f"the training images changed: {', '.join(lines)}")
        sentences += code_changes(stored, now)
        return sentences + (file_changes(stored, now, compared=compared) if files else [])

    def test_changes(self, stored: Mapping[str, Any]) -> list[str]:
        """Return what changed in the test listing, in at most one sentence."""
        return input_changes({"test": stored.get("test")}, {"test": self.test.summary})


def input_changes(
    stored: Mapping[str, Any], now: Mapping[str, Any], *, compared: Callable[[str], bool] = lambda key: True
) -> list[str]:
    """Compare two values of `RunInputs.to_json` and return the changes, one sentence each.

    Args:
        stored: Inputs of an earlier run.
        now: Current inputs.
        compared: Returns whether the file of a config key is compared. Files that do not exist any more are not.
    """
    sentences = []
    for split in ("training", "test"):
        old, new = stored.get(split), now.get(split)
        if old and new and (lines := summary_changes(old, new)):
            sentences.append(f"the {split} listing changed: {', '.join(lines)}")
    return [*sentences, *code_changes(stored, now), *file_changes(stored, now, compared=compared)]


def code_changes(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the changes of plug-in files, one sentence each."""
    if "plugins" not in stored or "plugins" not in now:
        return []
    old, new = stored["plugins"], now["plugins"]
    words = {True: "changed", False: "is new"}
    changed = [f"the plug-in {name} {words[name in old]}" for name in new if old.get(name) != new[name]]
    return changed + [f"the plug-in {name} is not imported any more" for name in old if name not in new]


def file_changes(
    stored: Mapping[str, Any], now: Mapping[str, Any], *, compared: Callable[[str], bool] = lambda key: True
) -> list[str]:
    """Return the files of the config whose content changed, one sentence each."""
    old, new = stored.get("files") or {}, now.get("files") or {}
    return [
        f"the content of the file that {key} names changed"
        for key, value in new.items()
        if compared(key) and key in old and MISSING not in (value, old[key]) and value != old[key]
    ]

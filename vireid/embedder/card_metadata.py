"""Metadata of a model card: the YAML header of `README.md`, as the Hugging Face hub reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from vireid.embedder.licenses import license_identifier, license_slug
from vireid.evaluation.report import is_oracle, metric_heading
from vireid.interop.hub import LIBRARY

TASK = "image-feature-extraction"
TAGS = ("person-re-identification", "visible-infrared", "vireid")


def metadata_lines(content: Mapping[str, Any]) -> list[str]:
    """Write the header of the content of a bundle's `config.json`; each value is JSON, which is YAML as well."""
    header = {
        "library_name": LIBRARY,
        "pipeline_tag": TASK,
        **_license(content["license"]),
        **_datasets(content["training"]),
        "tags": list(TAGS),
        **_model_index(content["metrics"], content["training"]),
    }
    return ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items()), "---"]


def _license(text: str | None) -> dict[str, str]:
    """The license: an identifier of the hub, or `other` with its name; nothing if it is not stated."""
    if not text:
        return {}
    identifier = license_identifier(text)
    return {"license": identifier} if identifier else {"license": "other", "license_name": license_slug(text)}


def _datasets(training: Mapping[str, Any]) -> dict[str, list[str]]:
    """The dataset, if its name has the form of an identifier."""
    name = str(training.get("name") or training.get("data") or "")
    return {"datasets": [name]} if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name, re.ASCII) else {}


def _model_index(metrics: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Results for leaderboards. Those that read the labels of the test identities (oracle) are left out."""
    results = []
    for protocol, result in metrics.items():
        conditions = result["conditions"]
        if is_oracle(conditions):
            continue
        data = str(conditions.get("data") or training.get("data") or "not stated")
        results.append(
            {
                "task": {"type": TASK, "name": "visible-infrared person re-identification"},
                "dataset": {"type": _word(data), "name": f"{data}, {protocol}", "args": dict(conditions)},
                "metrics": [
                    {"type": name, "value": value, "name": metric_heading(name)}
                    for name, value in result["mean"].items()
                ],
            }
        )
    return {"model-index": [{"name": LIBRARY, "results": results}]} if results else {}


def _word(text: object) -> str:
    """A name without the characters that an identifier of a dataset must not have."""
    return re.sub(r"[^\w.-]+", "-", str(text), flags=re.ASCII).strip("-.") or "other"

"""Heavy distributions are imported on first use: `import vireid` loads none, `vireid.load` only those of a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPTIONAL = {"faiss", "fastapi", "lance", "matplotlib", "onnx", "onnxruntime", "onnxscript", "openvino", "pandas"}
OPTIONAL |= {"openpyxl", "pymilvus", "sklearn", "tensorboard", "uvicorn"}
HEAVY = {"torch", "torchvision", "timm", "numpy", "scipy", "PIL", "yaml", "accelerate", "huggingface_hub"}


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Top-level modules after each step of one process."""
    code = (
        "import json, sys\n"
        "def names(): return sorted({name.partition('.')[0] for name in sys.modules})\n"
        "import vireid\nfound = {'vireid': names()}\n"
        "vireid.load, vireid.list_models, vireid.push_to_hub\nfound['load'] = names()\n"
        "import pandas\nfound['pandas'] = names()\n"
        "print(json.dumps(found))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return {step: set(names) for step, names in json.loads(run.stdout).items()}


def test_import_vireid_loads_no_heavy_distribution(loaded):
    assert not (HEAVY | OPTIONAL) & loaded["vireid"]


def test_load_loads_no_distribution_that_it_may_not_need(loaded):
    assert "torch" in loaded["load"]
    assert not OPTIONAL & loaded["load"]


def test_a_loaded_distribution_would_be_found(loaded):
    assert OPTIONAL & loaded["pandas"] == {"pandas"}

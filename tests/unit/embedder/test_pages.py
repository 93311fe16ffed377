"""The examples of the pages run on a model and images that lie where the examples expect them."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vireid

ROOT = Path(__file__).parents[3]
PAGES = ["README.md", "docs/embedder.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_example_runs(page, run, tmp_path, monkeypatch, capsys):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python[^\n]*\n(.*?)^```$", text, flags=re.M | re.S)
    (example,) = (block for block in found if 'vireid.load("runs/mmd")' in block and "Path(" in block)
    rng = np.random.default_rng(0)
    for name in ("night.png", "night_1.png", "night_2.png", *(f"day/{number}.jpg" for number in range(6))):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mmd").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    names = {"vireid": vireid, "Path": Path}
    exec(compile(example, page, "exec"), names)
    ranking = names["ranking"]
    assert ranking.ids.shape == (len(names["queries"]), 5)
    assert (np.diff(ranking.scores, axis=1) <= 0).all()
    assert str(ranking.ids) in capsys.readouterr().out

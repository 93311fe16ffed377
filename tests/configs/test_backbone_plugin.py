"""The backbone of CONTRIBUTING.md as a plug-in, and the dry run of plug-ins that load weights in their constructor."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import vireid
from vireid.config import Build, check_config
from vireid.core.errors import CheckpointError
from vireid.core.registries import BACKBONES
from vireid.testing import check_backbone

ROOT = Path(__file__).parents[2]
DECLARED = '    without_weights: ClassVar[dict] = {"pretrained": False, "weights": None}\n'


def block(language: str, first_line: str) -> str:
    """The fenced block of CONTRIBUTING.md that starts with this line."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"^```{language}\n{re.escape(first_line)}\n(.*?)^```$", page, flags=re.M | re.S)
    return text


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the two files of CONTRIBUTING.md; `project(declared=False)` leaves out `without_weights`."""
    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("my_project", "my_project.backbones"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def write(*, declared: bool = True) -> Path:
        code = block("python", "# my_project/backbones.py")
        assert DECLARED in code
        (tmp_path / "my_project").mkdir()
        (tmp_path / "my_project" / "__init__.py").touch()
        (tmp_path / "my_project" / "backbones.py").write_text(code if declared else code.replace(DECLARED, ""))
        text = block("yaml", "# one_stream.yml").replace("configs/", f"{ROOT}/configs/")
        (tmp_path / "one_stream.yml").write_text(text.replace("resnet18", "resnet10t"))
        return tmp_path / "one_stream.yml"

    yield write
    for name in ("my_project", "my_project.backbones"):
        sys.modules.pop(name, None)


def weights_of(path: Path, value: float) -> Path:
    """A file of weights that fits the example, every number the same."""
    network = BACKBONES.get("OneStream").target(arch="resnet10t", pretrained=False).network
    save_file({name: torch.full_like(tensor, value) for name, tensor in network.state_dict().items()}, path)
    return path


def test_the_documented_backbone_is_checked_built_and_kept(project, facts):
    config = vireid.load_config(project())
    model = Build(check_config(config), facts).model()
    assert type(model.backbone).__name__ == "OneStream"
    assert model.dims["pooled"] == model.backbone.channels == 512
    check_backbone(lambda: BACKBONES.get("OneStream").target(arch="resnet10t", pretrained=False))


def test_without_weights_spares_the_dry_run_the_file(project, facts):
    file = project()
    config = vireid.load_config(file, {"MODEL.BACKBONE.WEIGHTS": "absent.safetensors"})
    Build(check_config(config), facts).model(weights=False)
    with pytest.raises(CheckpointError, match=r"absent\.safetensors does not fit resnet10t: No such file"):
        Build(check_config(config), facts).model()


def test_weights_loaded_in_the_dry_run_print_no_warning(project, facts):
    """torch warns for each tensor that is copied to the meta device: hundreds of lines for one network."""
    file = project(declared=False)
    vireid.load_config(file)
    weights = weights_of(Path("weights.safetensors"), 0.25)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = vireid.load_config(file, {"MODEL.BACKBONE.WEIGHTS": str(weights)})
    assert not [str(warning.message) for warning in caught if "non-meta" in str(warning.message)]
    model = Build(check_config(config), facts).model()
    assert all((parameter == 0.25).all() for parameter in model.backbone.parameters())


def test_other_warnings_of_a_constructor_pass(project):
    file = project()
    code = Path("my_project/backbones.py")
    text = code.read_text().replace("super().__init__()", "super().__init__()\n        warnings.warn('my own warning')")
    code.write_text("import warnings\n" + text)
    with pytest.warns(UserWarning, match="my own warning"):
        vireid.load_config(file)

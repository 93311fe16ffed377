"""Files of weights made elsewhere: which kind of file they are, and prefixes of their names."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save

from vireid.core.errors import CheckpointError
from vireid.core.weight_files import best_mapping, missing_prefix, read_mappings, without_prefix

KNOWN = ["stem.weight", "layer1.0.weight", "layer1.0.bias"]


def named(prefix="", names=KNOWN):
    return {prefix + name: torch.full((2,), float(number)) for number, name in enumerate(names)}


@pytest.fixture
def refused(tmp_path):
    """The text with which a file of this content is refused, without its name."""

    def read(content: bytes, name="a.pth") -> str:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CheckpointError) as error:
            read_mappings(path)
        text = str(error.value)
        assert "weights_only" not in text
        assert "\n" not in text
        assert text.startswith(f"{path}: ")
        return text.removeprefix(f"{path}: ")

    return read


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO(b""))
    return out.getvalue()


def torch_file() -> bytes:
    out = io.BytesIO()
    torch.save(named(), out)
    return out.getvalue()


PAGE = b"<!DOCTYPE html>\n<html><head><title>Drive - Virus scan warning</title></head></html>"
KINDS = {
    "html": (PAGE, "is an HTML page ('Drive - Virus scan warning'), not the file itself"),
    "html without a title": (b"\n <HTML><body>404</body>", "is an HTML page, not the file itself"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "is a git-lfs pointer"),
    "empty": (b"", "is empty (0 bytes)"),
    "json": (b'{"error": "not found"}', "is JSON text"),
    "xml": (b"<?xml version='1.0'?><Error/>", "is XML text"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "is a gzip archive; unpack it"),
    "tar": (tarred(), "is a tar archive; unpack it"),
    "zip": (zipped(readme=b"1"), "is a zip archive (readme); unpack it"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    "cut torch file": (torch_file()[:300], "is cut short (300 bytes)"),
    "text": (b"hello\nworld", "is text that begins 'hello'"),
    "safetensors": (save(named()), "is a safetensors file by its content; name it .safetensors"),
    "noise": (b"\x93\xff\x00\x01noise\xfe", "is of an unknown kind or damaged (10 bytes)"),
}


@pytest.mark.parametrize(("content", "text"), KINDS.values(), ids=KINDS)
def test_a_file_that_is_no_checkpoint_is_named(refused, content, text):
    assert text in refused(content)


@pytest.mark.parametrize("kind", ["html", "lfs", "empty", "text"])
def test_the_same_under_the_name_of_a_safetensors_file(refused, kind):
    content, text = KINDS[kind]
    assert refused(content, "a.safetensors").startswith(f"cannot be read as a safetensors file: {text}")


def test_safetensors_that_are_cut_short_or_are_a_torch_file(refused):
    assert "is a safetensors file that is cut short" in refused(save(named())[:-4], "a.safetensors")
    assert "is a file of torch.save; name it .pth" in refused(torch_file(), "a.safetensors")


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="file does not exist"):
        read_mappings(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_mappings(tmp_path)


def test_code_is_refused_without_the_advice_to_run_it(refused):
    class Evil:
        def __reduce__(self):
            return os.getcwd, ()

    out = io.BytesIO()
    torch.save({"a": Evil()}, out)
    assert refused(out.getvalue()).startswith(f"requires {os.name}.getcwd, which files of weights do not need")


@pytest.mark.parametrize(
    "prefix", ["module.", "module.encoder_q.", "model.", "backbone.", "_orig_mod.", "module._orig_mod.", "state.net."]
)
def test_a_prefix_of_all_names_is_removed(prefix):
    found = without_prefix(named(prefix), KNOWN)
    assert list(found.tensors) == KNOWN
    assert all(torch.equal(found.tensors[name], value) for name, value in named().items())
    assert found.changes


def test_names_that_are_right_stay_as_they_are():
    found = without_prefix({**named(), "module.stem.weight": torch.zeros(1)}, KNOWN)
    assert list(found.tensors) == [*KNOWN, "module.stem.weight"]
    assert found.changes == []


def test_orig_mod_in_the_middle_of_names():
    inner = {f"backbone._orig_mod.{name}": value for name, value in named().items()}
    found = without_prefix({**inner, "head.weight": torch.zeros(1)}, [f"backbone.{name}" for name in KNOWN])
    assert list(found.tensors) == [*(f"backbone.{name}" for name in KNOWN), "head.weight"]
    assert found.changes == ["removed '_orig_mod', which torch.compile inserts"]


def test_a_second_network_beside_the_prefix_is_left_out_and_counted():
    """MoCo stores the query encoder, the key encoder and a queue."""
    content = {**named("module.encoder_q."), **named("module.encoder_k."), "module.queue": torch.zeros(3)}
    found = without_prefix(content, KNOWN)
    assert list(found.tensors) == KNOWN
    assert found.changes == [
        "removed the prefix 'module.encoder_q.' from 3 names",
        "left out 4 tensors outside that prefix ('module.encoder_k.' fits as well)",
    ]


@pytest.mark.parametrize("place", ["model", "state_dict", "net", "teacher", "network_weights"])
def test_a_nested_mapping_is_found(tmp_path, place):
    torch.save({"epoch": 3, place: named("module."), "optimizer": {"lr": torch.zeros(1)}}, tmp_path / "a.pth")
    renamed, words = best_mapping(read_mappings(tmp_path / "a.pth"), KNOWN)
    assert list(renamed.tensors) == KNOWN
    assert words == "removed the prefix 'module.' from 3 names"


def test_of_two_mappings_that_fit_the_chosen_one_is_named(tmp_path):
    torch.save({"student": named("module."), "teacher": named("backbone.")}, tmp_path / "a.pth")
    renamed, words = best_mapping(read_mappings(tmp_path / "a.pth"), KNOWN)
    assert renamed.prefix == "backbone."
    assert words == "read 'teacher' ('student' fits as well), removed the prefix 'backbone.' from 3 names"


def test_the_prefix_that_a_file_lacks():
    assert missing_prefix(KNOWN, [f"backbone.shared.{name}" for name in KNOWN]) == "backbone.shared."
    assert missing_prefix(KNOWN, KNOWN) == ""
    assert missing_prefix(["a", "b"], KNOWN) == ""
    assert missing_prefix([], KNOWN) == ""

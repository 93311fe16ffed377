"""The page on fine-tuning: its blocks and commands in their order, on fewer people and with a smaller network."""

import json
import re
import shlex
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

import vireid
from vireid.cli.main import run_command

PAGE = Path(__file__).parents[2] / "docs" / "fine_tuning.md"
DEMO = str(PAGE.parents[1] / "configs" / "demo" / "sysu_mmd.yml")
FEWER = {"epoch_0004": "epoch_0001", "HELDOUT_IDENTITIES: 20": "HELDOUT_IDENTITIES: 5", "EPOCHS: 4": "EPOCHS: 2"}


def blocks(language):
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


def weights(run, epoch):
    return load_file(run / "checkpoints" / f"epoch_{epoch:04d}" / "model.safetensors")


def test_the_page_runs(people, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = {"DATA.ROOT": people, "CACHE_DIR": cache, "OUTPUT_DIR": "runs/public", "HELDOUT_IDENTITIES": 3}
    settings |= {"SIZE": "[64, 32]", "MODEL.BACKBONE.ARCH": "test_resnet", "DEVICE": "cpu", "PRECISION": "float32"}
    settings |= {"SAMPLER.IDENTITIES": 4, "SAMPLER.STEPS": 4, "SOLVER.EPOCHS": 1}
    settings |= {"SOLVER.SCHEDULE.EPOCHS": 1, "SOLVER.SCHEDULE.WARMUP": 0}
    overrides = [str(word) for pair in settings.items() for word in pair]
    assert run_command("train", ["--config-file", DEMO, *overrides]) == 0
    shutil.copytree(people, "datasets/ours")
    write_list, use = blocks("python")
    exec(compile(write_list, PAGE.name, "exec"), {})

    (config,) = blocks("yaml")
    for words, other in FEWER.items():
        assert words in config
        config = config.replace(words, other)
    Path("ours.yml").write_text(config)
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert [words[1] for words in commands[:3]] == ["synth", "train", "synth"]  # their results are here already
    capsys.readouterr()
    for words in commands[3:]:
        assert run_command(words[1], words[2:]) == 0, words
    out, before, after = capsys.readouterr().out, Path("runs/before"), Path("runs/ours")
    assert "No fault was found" in out
    assert "not loaded, because they belong to those identities: heads.id.classifier.weight" in out

    conditions = json.loads((before / "metrics.json").read_text())["results"]["ours"]["conditions"]
    assert conditions["cross_dataset"] == "trained on SysuMM01"
    public, first, last = weights(Path("runs/public"), 1), weights(after, 1), weights(after, 2)
    trained = [name for name in public if name.startswith("backbone.") and "weight" in name]
    assert all(torch.equal(public[name], first[name]) for name in trained)  # frozen in the first epoch
    assert any(not torch.equal(public[name], last[name]) for name in trained)

    embedder = vireid.load("bundles/ours", device="cpu")
    assert embedder.description.training["data"] == "CsvDataset"
    assert embedder.decision.identities == 5
    shutil.copy(next(Path("datasets/ours").glob("cam3/*/*.jpg")), "night.png")
    Path("day").mkdir()
    for number, path in enumerate(sorted(Path("datasets/ours").glob("cam1/*/*.jpg"))[:3]):
        shutil.copy(path, f"day/{number}.jpg")
    exec(compile(use, PAGE.name, "exec"), {"Path": Path})
    assert re.fullmatch(r"-?0\.\d+ (True|False)", capsys.readouterr().out.strip().splitlines()[-1])

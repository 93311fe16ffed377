"""Time of a training step of a vision transformer, compared with a plain timm network and losses written plainly.

    python benchmarks/speed/vit_step.py --json benchmarks/results/vit_step.json

- Ours: network, objective and optimizer of `sysu/vit`: ViT-B/16 at 256 x 128, a patch embedding for each modality, 64
  rows.
- Plain: timm's network for images of this size, BN, a linear classifier, cross-entropy and AGW's weighted triplet as
  matrix expressions.

Both start from the same weights and take the same ready batch: forward, losses, backward, optimizer, in bfloat16
autocast on devices with bfloat16 instructions. They give the same loss (checked). Repeats alternate in one run; times
are medians, with minimum and maximum. Processes that run at the same time make the times unreliable, and less so the
ratio.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.config import Build, load_checked
from vireid.core.errors import guarded
from vireid.core.types import Batch, DatasetInfo, Progress
from vireid.engine.optim import parameter_groups
from vireid.zoo.models import config_path

FACTS = DatasetInfo(num_ids=395, num_cameras=6)  # of SYSU-MM01's training set


class Plain(nn.Module):
    """timm's network with BN neck and classifier."""

    def __init__(self, arch: str, size: tuple[int, int], num_ids: int) -> None:
        super().__init__()
        self.base: Any = timm.create_model(arch, num_classes=0, img_size=size)
        self.neck = nn.BatchNorm1d(self.base.num_features)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(self.base.num_features, num_ids, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.base.forward_features(images)[:, 0]
        with torch.autocast(images.device.type, enabled=False):
            features = features.float()
            return features, self.classifier(self.neck(features))


def plain_loss(features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy and weighted regularized triplet, as one writes them down."""
    distance = torch.cdist(features, features, compute_mode="use_mm_for_euclid_dist")
    same = labels[:, None] == labels[None]
    pull = distance.masked_fill(~same, -torch.inf).softmax(dim=1)
    push = (-distance).masked_fill(same, -torch.inf).softmax(dim=1)
    triplet = F.softplus((pull * distance).sum(dim=1) - (push * distance).sum(dim=1)).mean()
    return F.cross_entropy(logits, labels) + triplet


def batch_of(size: tuple[int, int], identities: int, shots: int, device: torch.device) -> Batch:
    """Random images: visible rows first."""
    labels = torch.arange(identities).repeat_interleave(shots).repeat(2)
    rows = len(labels)
    modality = (torch.arange(rows) >= rows // 2).long()
    zeros = torch.zeros_like(labels)
    images = torch.randn(rows, 3, *size, generator=torch.Generator().manual_seed(0))
    return Batch(images, labels, modality, zeros, zeros, torch.arange(rows)).to(device)


def copy_weights(plain: Plain, network: nn.Module) -> None:
    """Copy the weights of our network to timm's."""
    backbone: Any = network.backbone
    embed, shared = backbone.visible.embed, dict(backbone.shared.named_children())
    state = {"cls_token": embed.cls_token, "pos_embed": embed.pos_embed}
    state |= {f"patch_embed.proj.{name}": value for name, value in embed.proj.state_dict().items()}
    for number in range(len(shared) - 1):
        block = shared[f"block{number}"].block.state_dict()
        state |= {f"blocks.{number}.{name}": value for name, value in block.items()}
    state |= {f"norm.{name}": value for name, value in shared["norm"].state_dict().items()}
    plain.base.load_state_dict(state)
    head: Any = network.get_submodule("heads.id")
    plain.neck.load_state_dict(head.neck.state_dict())
    plain.classifier.load_state_dict(head.classifier.state_dict())


def steps(options: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], Tensor]]:
    """Name -> a training step that returns the loss."""
    size = (options.size[0], options.size[1])
    changes = {"MODEL.BACKBONE.ARCH": options.arch, "MODEL.BACKBONE.PRETRAINED": False, "MODEL.BACKBONE.DROP_PATH": 0.0}
    build = Build(load_checked(config_path("sysu/vit"), {**changes, "SIZE": list(size)}), FACTS)
    torch.manual_seed(0)
    network = build.model()
    plain = Plain(options.arch, size, FACTS.num_ids)
    copy_weights(plain, network)
    network, plain = network.to(device).train(), plain.to(device).train()
    objective = build.objective(network).to(device)
    groups = parameter_groups(network, objective, build.lr_scale(), **build.group_options())
    ours, theirs = build.optimizer(groups), torch.optim.AdamW(plain.parameters(), lr=3e-4, weight_decay=1e-4)
    for optimizer in (ours, theirs):  # random images teach nothing; they must not make the loss diverge
        for group in optimizer.param_groups:
            group["lr"] = 1e-6
    batch = batch_of(size, options.identities, 4, device)

    def step(optimizer: torch.optim.Optimizer, loss_of: Callable[[], Tensor]) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def ours_loss() -> Tensor:
        with autocast(device):
            out = network(batch)
        return objective(batch, out, Progress())[0]

    def theirs_loss() -> Tensor:
        with autocast(device):
            features, logits = plain(batch.images)
        return plain_loss(features, logits, batch.labels)

    return {"ours": lambda: step(ours, ours_loss), "plain": lambda: step(theirs, theirs_loss)}


def autocast(device: torch.device) -> AbstractContextManager:
    """bfloat16 on GPUs that compute in it, else float32."""
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16) if half else nullcontext()


def seconds(step: Callable[[], Tensor], number: int, device: torch.device) -> float:
    """Seconds of one step, as the mean over some."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    for _ in range(number):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / number


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Times of both steps and the ratio of their medians."""
    device = torch.device(options.device)
    both = steps(options, device)
    first = {name: float(step()) for name, step in both.items()}
    tolerance = 2e-2 if device.type == "cuda" else 1e-4
    if abs(first["ours"] - first["plain"]) > tolerance * abs(first["plain"]):
        raise RuntimeError(f"the losses differ: {first}")
    times: dict[str, list[float]] = {name: [] for name in both}
    for repeat in range(options.repeats):
        for name in sorted(both, reverse=bool(repeat % 2)):
            times[name].append(seconds(both[name], options.steps, device))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = [ours / plain for ours, plain in zip(times["ours"], times["plain"], strict=True)]
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    conditions = {
        "device": kind,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "threads": torch.get_num_threads(),
    }
    shown = {name: getattr(options, name) for name in ("arch", "size", "identities", "steps", "repeats")}
    return {
        **conditions,
        **shown,
        "losses": first,
        "seconds": {name: [medians[name], min(values), max(values)] for name, values in times.items()},
        "ratio": statistics.median(ratios),
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="vit_base_patch16_224", help="ViT of timm (default %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=[256, 128], metavar=("H", "W"), help="image size")
    parser.add_argument("--identities", type=int, default=8, help="4 images of each modality (default %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="steps in a repeat (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="default %(default)s")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="file for the result")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser().parse_args(argv)
    result = measure(options)
    for name, (median, least, most) in result["seconds"].items():
        print(f"{name:6} {1000 * median:9.1f} ms ({1000 * least:.1f} to {1000 * most:.1f})")
    print(f"ratio  {result['ratio']:9.3f} (ours / plain; {result['device']}, {result['threads']} threads)")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

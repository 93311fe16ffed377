"""MCE: proxies of every identity, kept for each modality and for all of them, that descriptors are compared with."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ConfigError
from vireid.core.interfaces import EpochContext
from vireid.core.registries import LOSSES
from vireid.core.types import EmbeddingTable, Modality
from vireid.layers.norms import unit_rows
from vireid.layers.pairing import follow, partners
from vireid.layers.pairwise import distances, groups, insist
from vireid.layers.soft_targets import soft_divergence

Rows = dict[str, Tensor]  # stream -> (R,) bool, its rows in a batch


class Bank(nn.Module):
    """One vector for each identity: `features` follow the training, `centers` stay as they were when it was filled.

    An update moves a vector to unit(momentum old + (1 - momentum) v); the momentum belongs to the OLD vector. v is the
    mean of the identity's rows, or with `hard` its row that is least like the vector (of equal ones the first).
    Before it is filled it holds random directions.
    """

    features: Tensor
    centers: Tensor

    def __init__(self, num_ids: int, width: int, *, momentum: float, hard: bool = False) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
        self.momentum, self.hard = momentum, hard
        start = unit_rows(torch.randn(num_ids, width))
        self.register_buffer("features", start)
        self.register_buffer("centers", start.clone())

    @torch.no_grad()
    def fill(self, vectors: Tensor) -> None:
        """(I, D): both tables start from these."""
        self.features.copy_(vectors)
        self.centers.copy_(vectors)

    def scores(self, rows: Tensor, *, frozen: bool = False) -> Tensor:
        """(R, D) -> (R, I) dot products with the running table, or with that of the epoch's start."""
        table = self.centers if frozen else self.features.clone()  # an update must not reach into a backward pass
        return rows @ table.T

    @torch.no_grad()
    def update(self, rows: Tensor, labels: Tensor, chosen: Tensor) -> None:
        """Move the vectors of the identities in the chosen rows: (R, D) unit rows, (R,), (R,) bool."""
        if self.hard:
            chosen = self._least_like(rows, labels, chosen)
        member = _members(labels, len(self.features)) & chosen
        count = member.sum(dim=1, keepdim=True)
        mean = member.to(rows.dtype) @ rows / count.clamp_min(1)
        moved = unit_rows(self.momentum * self.features + (1 - self.momentum) * mean)
        self.features.copy_(torch.where(count > 0, moved, self.features))

    def _least_like(self, rows: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """(R,) bool: one of the chosen rows of each identity."""
        likeness = (rows * self.features[labels]).sum(dim=1)
        among = groups(labels).same & chosen
        hit = chosen & (likeness <= likeness.expand_as(among).masked_fill(~among, float("inf")).amin(dim=1))
        return hit & ~(among & hit).tril(diagonal=-1).any(dim=1)


@LOSSES.register
class ConsistencyMemory(nn.Module):
    """Descriptors against the proxies of all identities; four banks, filled anew from the training set each epoch.

    Shapes: features_bn (R, D), labels (R,), modality (R,), view (R,), index (R,) -> scalars, their weights included:
    `center`: max(0, d(x, own) - d(x, nearest other identity of the batch) + margin), to the frozen joint bank;
    `memory`: cross-entropy of x M / temperature with the running joint bank; `visible`, `infrared`, `auxiliary`: the
    same of each stream with its own bank; `kl`: KL(teacher || student) of scores on frozen banks (`align` "running": on
    the running ones). x are unit rows. Visible and infrared rows teach each other: a visible row's teacher is the
    infrared row beside it (the r-th of the identity, counted by `index`) scored on the visible bank, and the other way
    round; an auxiliary row is taught by itself scored on the infrared bank.
    Streams are the visible and infrared rows of view 0 and the visible rows of view `auxiliary` (0: there are none).
    A training step moves the banks after it used them: that of a modality with `momentum` to the mean of its rows, the
    joint one with `joint_momentum` to the row that is least like it.
    Errors: fewer than two identities in a batch are a ValueError on the CPU and NaN on other devices; ConfigError where
    MODEL.DESCRIPTOR is as wide as nothing that the banks could hold.
    Source: MCE (AAAI 2023), released code, whose values are the defaults. Departs: banks move in the forward pass and
    not in the backward one, which is the same once per step; rows without a partner in the other modality are left out
    of `kl` (the release needs its sampler's order).
    """

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        momentum: float = 0.25,
        joint_momentum: float = 0.1,
        margin: float = 0.3,
        center_weight: float = 1.0,
        identity_weight: float = 1.0,
        auxiliary_weight: float = 0.4,
        kl_weight: float = 1.2,
        align: Literal["frozen", "running"] = "frozen",
        auxiliary: int = 1,
        num_ids: int,
        feature_dim: int,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        if auxiliary < 0:
            raise ValueError(f"auxiliary must be the number of a view, or 0 for none, got {auxiliary}")
        if min(margin, center_weight, identity_weight, auxiliary_weight, kl_weight) < 0:
            raise ValueError("margin and the four weights must be at least 0")
        self.temperature, self.margin, self.frozen, self.auxiliary = temperature, margin, align == "frozen", auxiliary
        self.center_weight, self.kl_weight = center_weight, kl_weight
        self.weights = {"visible": identity_weight, "infrared": identity_weight}
        if auxiliary:
            self.weights["auxiliary"] = identity_weight * auxiliary_weight
        self.joint = Bank(num_ids, feature_dim, momentum=joint_momentum, hard=True)
        self.banks = nn.ModuleDict({name: Bank(num_ids, feature_dim, momentum=momentum) for name in self.weights})

    # -- the banks -----------------------------------------------------------------------------------------------

    def start_epoch(self, context: EpochContext) -> None:
        """Fill the banks with the descriptors that the network gives to the training set now."""
        table = context.training_features()
        visible = table.modality == Modality.VISIBLE
        self._fill("visible", table, visible)
        self._fill("infrared", table, ~visible)
        if self.auxiliary:
            table = context.training_features(view=self.auxiliary)
            self._fill("auxiliary", table, table.modality == Modality.VISIBLE)
        self.join()

    def _bank(self, stream: str) -> Bank:
        bank = self.banks[stream]
        assert isinstance(bank, Bank)
        return bank

    def _fill(self, stream: str, table: EmbeddingTable, chosen: np.ndarray) -> None:
        bank = self._bank(stream)
        if table.embeddings.shape[1] != bank.features.shape[1]:
            raise ConfigError(
                [
                    f"MODEL.DESCRIPTOR is {table.embeddings.shape[1]} wide and the memories read a field of "
                    f"{bank.features.shape[1]}: they compare rows with descriptors, so both must be the same field"
                ]
            )
        rows, labels = torch.from_numpy(table.embeddings[chosen]), torch.from_numpy(table.labels[chosen])
        bank.fill(identity_means(rows.to(bank.features), labels.to(bank.features.device), len(bank.features)))

    def join(self) -> None:
        """The joint bank from the others: their mean, not made unit."""
        self.joint.fill(torch.stack([self._bank(name).features for name in self.banks]).mean(dim=0))

    # -- the terms -----------------------------------------------------------------------------------------------

    def forward(
        self, features_bn: Tensor, labels: Tensor, modality: Tensor, view: Tensor, index: Tensor
    ) -> dict[str, Tensor]:
        x = unit_rows(features_bn)
        streams = self._streams(modality, view)
        every = torch.stack(list(streams.values())).any(dim=0)
        terms = {
            "center": self.center_weight * self.center(x, labels, every),
            "memory": self._contrast(self.joint, x, labels, every),
        }
        for name, rows in streams.items():
            terms[name] = self.weights[name] * self._contrast(self._bank(name), x, labels, rows)
        terms["kl"] = self.kl_weight * self._alignment(x, labels, index, streams)
        if self.training and torch.is_grad_enabled():
            self._update(x.detach(), labels, streams, every)
        return terms

    def _streams(self, modality: Tensor, view: Tensor) -> Rows:
        visible = modality == Modality.VISIBLE
        streams = {"visible": visible & (view == 0), "infrared": ~visible & (view == 0)}
        return streams | ({"auxiliary": visible & (view == self.auxiliary)} if self.auxiliary else {})

    def center(self, x: Tensor, labels: Tensor, every: Tensor) -> Tensor:
        """The triplet of rows and frozen joint vectors: (R, D), (R,), (R,) bool, the rows that count -> scalar."""
        distance = distances(x, self.joint.centers)
        member = _members(labels, len(self.joint.centers))
        present = (member & every).any(dim=1)
        own = distance.gather(1, labels.unsqueeze(1)).squeeze(1)
        others = distance.masked_fill(~present | member.T, float("inf")).amin(dim=1)
        text = "the memories need at least two identities in the batch; all rows have the same"
        return _mean((own - others + self.margin).relu(), every) + insist(present.sum() > 1, text)

    def _contrast(self, bank: Bank, x: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        return _mean(F.cross_entropy(bank.scores(x) / self.temperature, labels, reduction="none"), rows)

    def _alignment(self, x: Tensor, labels: Tensor, index: Tensor, streams: Rows) -> Tensor:
        visible, infrared = streams["visible"], streams["infrared"]
        scores = {name: self._bank(name).scores(x, frozen=self.frozen) / self.temperature for name in self.banks}
        pairs = partners(visible, infrared, labels, index)
        student = torch.where(visible.unsqueeze(1), scores["visible"], scores["infrared"])
        teacher = torch.where(
            visible.unsqueeze(1), follow(pairs, scores["visible"]), follow(pairs.T, scores["infrared"])
        )
        taught = pairs.any(dim=1) | pairs.any(dim=0)
        if self.auxiliary:
            alone = streams["auxiliary"].unsqueeze(1)
            student = torch.where(alone, scores["auxiliary"], student)
            teacher = torch.where(alone, scores["infrared"], teacher)
            taught = taught | streams["auxiliary"]
        return _mean(soft_divergence(student, teacher), taught)

    def _update(self, x: Tensor, labels: Tensor, streams: Rows, every: Tensor) -> None:
        self.joint.update(x, labels, every)
        for name, rows in streams.items():
            self._bank(name).update(x, labels, rows)


def identity_means(rows: Tensor, labels: Tensor, num_ids: int) -> Tensor:
    """Mean of each identity's rows at length 1, zeros for one without rows: (N, D), (N,) -> (num_ids, D)."""
    totals = rows.new_zeros(num_ids, rows.shape[1]).index_add(0, labels, rows)
    return unit_rows(totals)


def _members(labels: Tensor, num_ids: int) -> Tensor:
    """(R,) -> (num_ids, R) bool."""
    return torch.arange(num_ids, device=labels.device).unsqueeze(1) == labels


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of (R,) values over rows that are True; 0 where none is."""
    return torch.where(rows, values, 0).sum() / rows.sum().clamp_min(1)

"""Memory banks of identity proxies for each modality (MCE), and the losses that compare embeddings with them."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, ConfigError
from vireid.core.interfaces import EpochContext
from vireid.core.registries import LOSSES
from vireid.core.types import EmbeddingTable, Modality
from vireid.layers.norms import l2_normalize
from vireid.layers.pairing import follow, partners
from vireid.layers.pairwise import distances, groups, require
from vireid.layers.soft_targets import soft_divergence

Rows = dict[str, Tensor]  # stream -> (R,) bool, its rows in a batch


class Bank(nn.Module):
    """Memory bank: one proxy for each identity. `features` are updated in every step, `centers` stay as last filled.

    An update sets a proxy to normalize(momentum old + (1 - momentum) v). The momentum is the weight of the OLD proxy.
    v is the mean of the rows of the identity; with `hard` it is the row that is least similar to the proxy (the first
    of equal ones). Until it is filled, a bank holds random directions.
    """

    identity_tensors: ClassVar[frozenset[str]] = frozenset({"features", "centers"})
    features: Tensor
    centers: Tensor

    def __init__(self, num_ids: int, width: int, *, momentum: float, hard: bool = False) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ArgumentError("momentum", f"must lie in [0, 1), got {momentum}")
        self.momentum, self.hard = momentum, hard
        start = l2_normalize(torch.randn(num_ids, width))
        self.register_buffer("features", start)
        self.register_buffer("centers", start.clone())

    @torch.no_grad()
    def fill(self, vectors: Tensor) -> None:
        """Set both tables to the given proxies, (I, D)."""
        self.features.copy_(vectors)
        self.centers.copy_(vectors)

    def scores(self, rows: Tensor, *, frozen: bool = False) -> Tensor:
        """Dot products with the running proxies, or with those of the start of the epoch: (R, D) -> (R, I)."""
        table = self.centers if frozen else self.features.clone()  # `update` writes in place before the backward pass
        return rows @ table.T

    @torch.no_grad()
    def update(self, rows: Tensor, labels: Tensor, chosen: Tensor) -> None:
        """Update the proxies of the identities of the chosen rows: (R, D) L2-normalized, (R,), (R,) bool."""
        if self.hard:
            chosen = self._least_like(rows, labels, chosen)
        member = _members(labels, len(self.features)) & chosen
        count = member.sum(dim=1, keepdim=True)
        mean = member.to(rows.dtype) @ rows / count.clamp_min(1)
        moved = l2_normalize(self.momentum * self.features + (1 - self.momentum) * mean)
        self.features.copy_(torch.where(count > 0, moved, self.features))

    def _least_like(self, rows: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """Select the hardest of the chosen rows of each identity, (R,) bool."""
        similarity = (rows * self.features[labels]).sum(dim=1)
        candidates = groups(labels).same & chosen
        lowest = similarity.expand_as(candidates).masked_fill(~candidates, float("inf")).amin(dim=1)
        hardest = chosen & (similarity <= lowest)
        return hardest & ~(candidates & hardest).tril(diagonal=-1).any(dim=1)


@LOSSES.register
class ConsistencyMemory(nn.Module):
    """Contrastive losses against memory banks of identity proxies, refilled from the training set before each epoch.

    There is one bank for each stream and a joint bank. The streams are the visible rows of view 0, the infrared rows
    of view 0 and the visible rows of view `auxiliary`. A training step updates the banks after it used them: the bank
    of a stream with `momentum` and the mean of its rows, the joint bank with `joint_momentum` and the hardest row.

    Args:
        temperature: Temperature of the logits.
        momentum: Weight of the old proxy in an update of a stream's bank.
        joint_momentum: Weight of the old proxy in an update of the joint bank.
        margin: Margin of `center`.
        center_weight: Factor of `center`.
        identity_weight: Factor of `visible`, `infrared` and `auxiliary`.
        auxiliary_weight: Further factor of `auxiliary`.
        kl_weight: Factor of `kl`.
        align: Logits that `kl` compares: of the proxies from the start of the epoch ("frozen") or of the current ones
            ("running").
        auxiliary: View of the auxiliary stream; 0: no auxiliary stream.
        num_ids: Number of identities I.
        feature_dim: Width D of the embeddings.

    Shape:
        features_bn (R, D), labels (R,), modality (R,), view (R,), index (R,) -> named scalars, weights included. With
        x the L2-normalized rows: `center`: max(0, d(x, proxy of its identity) - d(x, nearest proxy of another identity
        of the batch) + margin), with the frozen joint bank. `memory`: cross-entropy of the logits x M / temperature
        with the running joint bank. `visible`, `infrared`, `auxiliary`: the same for each stream with its bank. `kl`:
        KL(teacher || student). The teacher of a visible row is the infrared row of the same identity and rank (by
        `index`), with logits of the visible bank, and vice versa. The teacher of an auxiliary row is the same row with
        logits of the infrared bank.

    Raises:
        ValueError: If a batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.
        ConfigError: If the width of MODEL.EMBEDDING differs from that of the field that this loss reads.

    Source:
        MCE (AAAI 2023), released code, whose values are the defaults.

    Departs:
        Banks are updated in the forward pass instead of the backward pass, which is the same for one update per step.
        Rows without a partner in the other modality are left out of `kl`; the released code relies on the order of its
        sampler.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> loss = ConsistencyMemory(num_ids=2, feature_dim=4)
        >>> values = loss(
        ...     torch.eye(4),
        ...     labels=torch.tensor([0, 0, 1, 1]),
        ...     modality=torch.tensor([0, 1, 0, 1]),
        ...     view=torch.zeros(4),
        ...     index=torch.arange(4),
        ... )
        >>> list(values)
        ['center', 'memory', 'visible', 'infrared', 'auxiliary', 'kl']
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
            raise ArgumentError("temperature", f"must be above 0, got {temperature}")
        if auxiliary < 0:
            raise ArgumentError("auxiliary", f"must be the number of a view, or 0 for none, got {auxiliary}")
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
        """Fill the banks with the current embeddings of the training set."""
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
                    f"MODEL.EMBEDDING is {table.embeddings.shape[1]} wide and the memories read a field of "
                    f"{bank.features.shape[1]}; name the same field in MODEL.EMBEDDING and in the USES of this loss"
                ]
            )
        rows, labels = torch.from_numpy(table.embeddings[chosen]), torch.from_numpy(table.labels[chosen])
        bank.fill(identity_means(rows.to(bank.features), labels.to(bank.features.device), len(bank.features)))

    def join(self) -> None:
        """Fill the joint bank with the mean of the other banks, not L2-normalized."""
        self.joint.fill(torch.stack([self._bank(name).features for name in self.banks]).mean(dim=0))

    # -- the terms -----------------------------------------------------------------------------------------------

    def forward(
        self, features_bn: Tensor, labels: Tensor, modality: Tensor, view: Tensor, index: Tensor
    ) -> dict[str, Tensor]:
        x = l2_normalize(features_bn)
        streams = self._streams(modality, view)
        every = torch.stack(list(streams.values())).any(dim=0)
        terms = {
            "center": self.center_weight * self.center(x, labels, every),
            "memory": self._contrast(self.joint, x, labels, every),
        }
        for name, rows in streams.items():
            terms[name] = self.weights[name] * self._contrast(self._bank(name), x, labels, rows)
        terms["kl"] = self.kl_weight * self._distillation(x, labels, index, streams)
        if self.training and torch.is_grad_enabled():
            self._update(x.detach(), labels, streams, every)
        return terms

    def _streams(self, modality: Tensor, view: Tensor) -> Rows:
        visible = modality == Modality.VISIBLE
        streams = {"visible": visible & (view == 0), "infrared": ~visible & (view == 0)}
        return streams | ({"auxiliary": visible & (view == self.auxiliary)} if self.auxiliary else {})

    def center(self, x: Tensor, labels: Tensor, every: Tensor) -> Tensor:
        """Triplet loss of rows and frozen joint proxies: (R, D), (R,), (R,) bool selection of rows -> scalar."""
        distance = distances(x, self.joint.centers)
        member = _members(labels, len(self.joint.centers))
        present = (member & every).any(dim=1)
        positive = distance.gather(1, labels.unsqueeze(1)).squeeze(1)
        negative = distance.masked_fill(~present | member.T, float("inf")).amin(dim=1)
        text = "ConsistencyMemory needs at least two identities in the batch; all rows have the same"
        return _mean((positive - negative + self.margin).relu(), every) + require(present.sum() > 1, text)

    def _contrast(self, bank: Bank, x: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        return _mean(F.cross_entropy(bank.scores(x) / self.temperature, labels, reduction="none"), rows)

    def _distillation(self, x: Tensor, labels: Tensor, index: Tensor, streams: Rows) -> Tensor:
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
    """L2-normalized mean of the rows of each identity, zeros without rows: (N, D), (N,) -> (num_ids, D)."""
    totals = rows.new_zeros(num_ids, rows.shape[1]).index_add(0, labels, rows)
    return l2_normalize(totals)


def _members(labels: Tensor, num_ids: int) -> Tensor:
    """(R,) -> (num_ids, R) bool."""
    return torch.arange(num_ids, device=labels.device).unsqueeze(1) == labels


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of (R,) values over the selected rows; 0 if no row is selected."""
    return torch.where(rows, values, 0).sum() / rows.sum().clamp_min(1)

"""Meta-architecture of all methods: backbone, pool, optional adapter, and heads in named slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import bind, requested, serve
from vireid.core.errors import ArgumentError, ConfigError, DataError, Problem, closest
from vireid.core.fields import ATTRIBUTE_FIELDS, BACKBONE_FIELDS, FIELDS, HEAD_FIELDS, MODEL_FIELDS
from vireid.core.types import Batch, ModelOutput, Sample
from vireid.layers.norms import l2_normalize
from vireid.layers.precision import float32_or_more, without_autocast


class CrossModalityNet(nn.Module):
    """Cross-modality network: backbone, pool, optional attribute adapter, and named heads.

    Order: images and modality -> backbone -> feature map -> pool -> pooled features; with an adapter: attribute source
    -> attributes, adapter -> new feature map and further fields -> pool again; then each head in the order of `heads`.
    Backbone and adapter run under the caller's autocast. Pool and heads compute in float32 or more. The map is cast
    for a head only if a head reads it, because the cast doubles its memory.

    Args:
        backbone: `(images, modality[, visible]) -> (map, source)` with `channels`; with several rows for each image
            also `provides` {branch, source}.
        pool: `map -> pooled`.
        heads: Heads by name. A head requests fields by the parameter names of `forward`, also the modality of each row,
            and declares `provides`, `dims` and, if it has them, `training_only` fields.
        uses: {head name: {parameter: field}} where parameter and field names differ.
        adapter: Rewrites the map with attributes; needs `attributes`.
        attributes: Attribute source: requests `pooled_image`, `attributes`, `attributes_known` by name and returns
            (attributes (R, A), {field: tensor}).
        embedding: Fields that form the embedding.
        normalize: L2-normalize the embedding. Without it `embedding` must be one field.

    Raises:
        ConfigError: All requests that no part provides, and all invalid slots.

    Example:
        >>> from vireid.models import AveragePool, IdentityHead
        >>> from vireid.testing import TinyBackbone, tiny_batch
        >>> head = IdentityHead(num_ids=4, channels=16)
        >>> model = CrossModalityNet(backbone=TinyBackbone(width=16), pool=AveragePool(), heads={"id": head}).eval()
        >>> with torch.no_grad():
        ...     embeddings = model.embed(tiny_batch())
        >>> embeddings.shape
        torch.Size([24, 16])
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        pool: nn.Module,
        heads: Mapping[str, nn.Module],
        uses: Mapping[str, Mapping[str, str]] | None = None,
        adapter: nn.Module | None = None,
        attributes: nn.Module | None = None,
        embedding: Sequence[str] = ("features_bn",),
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.pool = backbone, pool
        self._passed = {"visible", "cameras"} & set(requested(backbone))
        self._pool_fields = _fields_of_pool(pool)
        self.attributes, self.adapter = attributes, adapter
        self.heads = nn.ModuleDict(heads)
        self.embedding, self.normalize = tuple(embedding), normalize
        self._bindings: dict[str, dict[str, str]] = {}
        self.dims: dict[str, int] = dict.fromkeys(MODEL_FIELDS, int(backbone.channels))  # type: ignore[arg-type]
        self.dims |= dict(getattr(backbone, "dims", {}))
        self._training_only: frozenset[str] = frozenset()

        backbone_fields = frozenset(getattr(backbone, "provides", ()))  # besides the map: branch and source
        provided, problems = set(MODEL_FIELDS | backbone_fields), self._check_slots()
        problems += self._check_pool(provided)
        if adapter is not None and attributes is not None:
            problems += self._join("MODEL.ATTRIBUTES", attributes, {}, {"pooled_image"} | ATTRIBUTE_FIELDS, provided)
            problems += self._join("MODEL.ADAPTER", adapter, {}, {"pooled", "feature_map", "attributes"}, provided)
        uses = dict(uses or {})
        for name in sorted(set(uses) - set(heads)):
            text, suggestion = ": USES is set, but this head does not exist", closest(name, heads)
            problems.append(Problem(text, key=f"MODEL.HEADS.{name.upper()}", suggestion=suggestion))
        for name, head in heads.items():
            problems += self._join(
                f"MODEL.HEADS.{name.upper()}", head, uses.get(name, {}), provided | HEAD_FIELDS, provided, head=name
            )
        problems += self._check_embedding(provided)
        if problems:
            raise ConfigError(problems)
        self.provides = frozenset(provided)
        self._read_by_heads = frozenset(field for name in heads for field in self._bindings[f"heads.{name}"].values())

    def _check_slots(self) -> list[Problem]:
        adapter, attributes = type(self.adapter).__name__, type(self.attributes).__name__
        if self.adapter is not None and self.attributes is None:
            text = f"({adapter}) needs attributes; set MODEL.ATTRIBUTES to their source"
            return [Problem(text, key="MODEL.ADAPTER")]
        if self.adapter is None and self.attributes is not None:
            text = f"({attributes}) is unused because MODEL.ADAPTER is none; set MODEL.ATTRIBUTES: {{NAME: none}}"
            return [Problem(text, key="MODEL.ATTRIBUTES")]
        return []

    def _check_pool(self, provided: set[str]) -> list[Problem]:
        problems = []
        for field in sorted(self._pool_fields):
            text = f"({type(self.pool).__name__}) reads {field!r}, which "
            if field not in provided:
                text += f"this backbone ({type(self.backbone).__name__}) does not provide; set NAME: AveragePool"
            elif self.adapter is not None:
                text += "the adapter does not rewrite: it would have no effect; set NAME: AveragePool"
            else:
                continue
            problems.append(Problem(text, key="MODEL.POOL"))
        return problems

    def _join(
        self,
        slot: str,
        part: nn.Module,
        uses: Mapping[str, str],
        offered: Iterable[str],
        provided: set[str],
        head: str = "",
    ) -> list[Problem]:
        """Bind a part, add what it declares to `provided`, and return its problems."""
        binding, problems = bind(part, uses, offered)
        self._bindings[f"heads.{head}" if head else slot] = binding
        declared = frozenset(getattr(part, "provides", ()))
        for field in sorted(declared):
            if field not in FIELDS:
                text = f"provides {field!r}, which core/fields.py does not define"
                problems.append(Problem(text, suggestion=closest(field, FIELDS)))
            elif field in provided:
                problems.append(Problem(f"provides {field!r}, which a part before it already provides"))
        provided |= declared
        self.dims |= dict(getattr(part, "dims", {}))
        self._training_only |= frozenset(getattr(part, "training_only", ()))
        kind = type(part).__name__
        return [replace(problem, key=slot, text=f"({kind}) {problem.text}") for problem in problems]

    def _check_embedding(self, provided: set[str]) -> list[Problem]:
        problems: list[Problem] = []

        def report(text: str, *, key: str = "MODEL.EMBEDDING", suggestion: str | None = None, note: str = "") -> None:
            problems.append(Problem(text, key=key, suggestion=suggestion, note=note))

        if not self.embedding:
            report("is empty; retrieval needs at least one field")
        if not self.normalize and len(self.embedding) > 1:
            report(
                "false needs a MODEL.EMBEDDING of one field, because several fields are L2-normalized before they are"
                " concatenated; set MODEL.NORMALIZE: true",
                key="MODEL.NORMALIZE",
            )
        for field in self.embedding:
            if field not in provided:
                note = f"\n    (provided: {', '.join(sorted(provided))})"
                report(f": nothing provides {field!r}", suggestion=closest(field, provided), note=note)
            elif field in self._training_only:
                report(f": {field!r} is computed in training only")
            elif len(shape := FIELDS[field].shape) not in (2, 3) or shape[-1] not in ("C", "D"):
                text = f": {field!r} has the shape ({', '.join(shape)}) and is not an embedding"
                report(f"{text}; name a field such as features_bn")
        return problems

    def forward(self, batch: Batch) -> ModelOutput:
        """Compute all fields in training; in evaluation those that are not `training_only`."""
        if not batch.images.is_floating_point():
            raise ArgumentError("images", f"must be normalized floats, got {batch.images.dtype}")
        extra = {name: getattr(batch, name) for name in self._passed}
        feature_map, source, *more = self.backbone(batch.images, batch.modality, **extra)
        fields: dict[str, Tensor] = dict(more[0]) if more else {}
        with without_autocast(feature_map):
            chosen = {name: fields[name] for name in self._pool_fields}
            pooled = self.pool(**chosen) if chosen else self.pool(feature_map)
        fields |= {"feature_map": feature_map, "pooled": pooled, "pooled_image": pooled}
        if source is not None:
            fields |= {"branch": copies(source), "source": source}
        if self.adapter is not None:
            fields |= self._adapt(batch, source, feature_map, pooled)
        from_batch = {name: getattr(batch, name) for name in HEAD_FIELDS & self._read_by_heads}
        if source is not None:
            from_batch = {name: value.index_select(0, source) for name, value in from_batch.items()}
        with without_autocast(feature_map):
            for name, head in self.heads.items():
                if not self.training and head.provides <= self._training_only:  # type: ignore[operator]
                    continue
                binding = self._bindings[f"heads.{name}"]
                fields |= {field: float32_or_more(fields[field]) for field in binding.values() if field in fields}
                fields |= head(**serve(fields | from_batch, binding))
        if not self.training:
            fields = {name: value for name, value in fields.items() if name not in self._training_only}
        return ModelOutput(fields, source)

    def _adapt(self, batch: Batch, source: Tensor | None, feature_map: Tensor, pooled: Tensor) -> dict[str, Tensor]:
        binding = self._bindings["MODEL.ATTRIBUTES"]
        offered: dict[str, Any] = {"pooled_image": pooled}
        for name in sorted(ATTRIBUTE_FIELDS):
            value = getattr(batch, name)
            if value is not None:
                offered[name] = value if source is None else value.index_select(0, source)
        required = requested(self.attributes)
        missing = sorted(field for parameter, field in binding.items() if field not in offered and required[parameter])
        if missing:
            place = f"MODEL.ATTRIBUTES ({type(self.attributes).__name__})"
            raise DataError(
                f"{place} needs {', '.join(missing)}, which the batch does not contain; set DATA.ATTRIBUTES to the "
                "attribute table"
            )
        with without_autocast(feature_map):
            present = {parameter: field for parameter, field in binding.items() if field in offered}
            attributes, extra = self.attributes(**serve(offered, present))  # type: ignore[misc]
        inputs = {"pooled": pooled, "feature_map": feature_map, "attributes": attributes}
        feature_map, more = self.adapter(**serve(inputs, self._bindings["MODEL.ADAPTER"]))  # type: ignore[misc]
        with without_autocast(feature_map):
            pooled = self.pool(feature_map)
        return {"feature_map": feature_map, "pooled": pooled, **extra, **more}

    @property
    def conditions(self) -> dict[str, str]:
        """Conditions to report with every number of this network."""
        lengths = {} if self.normalize else {"descriptor_lengths": "kept"}
        parts = (self.attributes, self.adapter, *self.heads.values())
        return {k: v for part in parts for k, v in getattr(part, "conditions", {}).items()} | lengths

    def observe_training(self, samples: Sequence[Sample]) -> None:
        """Let the backbone record facts of the training images, such as their cameras, before the training."""
        observe = getattr(self.backbone, "observe_training", None)
        if observe is not None:
            observe(samples)

    def validate(self, samples: Sequence[Sample]) -> None:
        """Check the test images before one of them is opened; DataError of the backbone or the attribute source."""
        for part in (self.backbone, self.attributes):
            check = getattr(part, "validate", None)
            if check is not None:
                check(samples)

    def embed(self, batch: Batch) -> Tensor:
        """Compute the embeddings for retrieval, (B, D), L2-normalized if `normalize` is set; needs evaluation mode.

        A single field of one row for each image is L2-normalized. Several fields, part features (R, P, D) or several
        rows of an image are each L2-normalized, concatenated (fields in the order of `embedding`) and L2-normalized
        again.
        """
        assert not self.training, "embed() needs evaluation mode: batch statistics would leak between images"
        out = self(batch)
        pieces = [self._normalized(float32_or_more(out.values[field])).flatten(1) for field in self.embedding]
        embeddings = torch.cat(pieces, dim=1)
        if out.source is not None:  # concatenate the rows of each image, in their order
            embeddings = embeddings[order_by_image(out.source)].reshape(batch.images.shape[0], -1)
        return self._normalized(embeddings)

    def _normalized(self, embeddings: Tensor) -> Tensor:
        return l2_normalize(embeddings) if self.normalize else embeddings


def _fields_of_pool(pool: nn.Module) -> frozenset[str]:
    """Fields of the backbone that a pool requests by name; empty for a pool of the feature map, however it names it."""
    try:
        return frozenset(requested(pool)) & BACKBONE_FIELDS
    except TypeError:  # a module that takes *args
        return frozenset()


def copies(source: Tensor) -> Tensor:
    """Index of each row among the rows of its image: (R,) batch row of each feature row -> (R,).

    Example:
        >>> copies(torch.tensor([0, 1, 0, 1, 1]))
        tensor([0, 0, 1, 1, 2])
    """
    return (source.unsqueeze(0) == source.unsqueeze(1)).tril(diagonal=-1).sum(dim=1)


def order_by_image(source: Tensor) -> Tensor:
    """Rows grouped by their image, those of one image in their order: (R,) batch row of each feature row -> (R,).

    The keys are unique, because exported graphs have no stable sort.

    Example:
        >>> order_by_image(torch.tensor([0, 1, 0, 1]))
        tensor([0, 2, 1, 3])
    """
    rows = source.shape[0]
    return torch.argsort(source * rows + torch.arange(rows, device=source.device))

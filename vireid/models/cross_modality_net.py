"""The one meta-architecture: backbone, pool, optional adapter, heads in named slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import bind, requested, serve
from vireid.core.errors import ConfigError, DataError, nearest
from vireid.core.fields import ATTRIBUTE_FIELDS, FIELDS, MODEL_FIELDS
from vireid.core.types import Batch, ModelOutput, Sample
from vireid.layers.norms import l2_normalize
from vireid.layers.precision import float32_or_more, without_autocast


class CrossModalityNet(nn.Module):
    """Images of both modalities to named fields; knows slots, no names of methods.

    images, modality -> backbone -> map -> pool -> pooled; where there is an adapter: attribute source -> attributes,
    adapter -> new map and further fields -> pool again; then each head in the order of `heads`. Backbone and adapter
    run under the caller's autocast; pool and heads compute in float32 (float64 stays), and a head that reads the map
    gets it in float32. A map that no head reads keeps its precision: a cast would double the memory that it takes.

    `backbone(images, modality[, visible]) -> (map, source)` with `channels` and, where it makes several rows of an
    image, `provides` {branch, source}; `pool(map)`; a head asks by parameter
    names and declares `provides`, `dims` and, where it has them, `training_only` fields. `attributes`, the attribute
    source, asks by name for `pooled_image`, `attributes`, `attributes_known` and returns (attributes (R, A), {field:
    tensor}).
    `uses` maps head name -> {parameter: field} where they differ. `descriptor` names the fields that retrieval uses;
    without `unit` it is one, and keeps its length.
    Errors: ConfigError with every request that nothing serves, all at once.
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
        descriptor: Sequence[str] = ("features_bn",),
        unit: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.pool = backbone, pool
        self._tells_visible = "visible" in requested(backbone)
        self.attributes, self.adapter = attributes, adapter
        self.heads = nn.ModuleDict(heads)
        self.descriptor, self.unit = tuple(descriptor), unit
        self._bindings: dict[str, dict[str, str]] = {}
        self.dims: dict[str, int] = dict.fromkeys(MODEL_FIELDS, int(backbone.channels))  # type: ignore[arg-type]
        self._training_only: frozenset[str] = frozenset()

        self._of_backbone = frozenset(getattr(backbone, "provides", ()))  # beside the map: branch and source
        provided, problems = set(MODEL_FIELDS | self._of_backbone), self._check_slots()
        if adapter is not None and attributes is not None:
            problems += self._join("MODEL.ATTRIBUTES", attributes, {}, {"pooled_image"} | ATTRIBUTE_FIELDS, provided)
            problems += self._join("MODEL.ADAPTER", adapter, {}, {"pooled", "feature_map", "attributes"}, provided)
        uses = dict(uses or {})
        for name in sorted(set(uses) - set(heads)):
            problems.append(
                f"MODEL.HEADS.{name.upper()}: USES is given for a head that is not there{nearest(name, heads)}"
            )
        for name, head in heads.items():
            problems += self._join(
                f"MODEL.HEADS.{name.upper()}", head, uses.get(name, {}), provided, provided, key=name
            )
        problems += self._check_descriptor(provided)
        if problems:
            raise ConfigError(problems)
        self.provides = frozenset(provided)

    def _check_slots(self) -> list[str]:
        adapter, attributes = type(self.adapter).__name__, type(self.attributes).__name__
        if self.adapter is not None and self.attributes is None:
            return [f"MODEL.ADAPTER ({adapter}) needs attributes; choose where they come from in MODEL.ATTRIBUTES"]
        if self.adapter is None and self.attributes is not None:
            return [f"MODEL.ATTRIBUTES ({attributes}) has no reader, since MODEL.ADAPTER is none; set it to NAME: none"]
        return []

    def _join(
        self,
        place: str,
        part: nn.Module,
        uses: Mapping[str, str],
        offered: Iterable[str],
        provided: set[str],
        key: str = "",
    ) -> list[str]:
        """Bind a part, take over what it declares (into `provided`), and tell what is wrong with it."""
        place = f"{place} ({type(part).__name__})"
        binding, faults = bind(part, uses, offered)
        self._bindings[f"heads.{key}" if key else place.split(" ")[0]] = binding
        gives = frozenset(getattr(part, "provides", ()))
        for field in sorted(gives):
            if field not in FIELDS:
                faults.append(f"provides {field!r}, which the vocabulary does not name{nearest(field, FIELDS)}")
            elif field in provided:
                faults.append(f"provides {field!r}, which something before it provides already")
        provided |= gives
        self.dims |= dict(getattr(part, "dims", {}))
        self._training_only |= frozenset(getattr(part, "training_only", ()))
        return [f"{place} {fault}" for fault in faults]

    def _check_descriptor(self, provided: set[str]) -> list[str]:
        problems = [] if self.descriptor else ["MODEL.DESCRIPTOR is empty; retrieval needs at least one field"]
        if not self.unit and len(self.descriptor) > 1:
            problems.append("MODEL.UNIT false is for a MODEL.DESCRIPTOR of one field: several are joined at length 1")
        for field in self.descriptor:
            if field not in provided:
                known = ", ".join(sorted(provided))
                problems.append(
                    f"MODEL.DESCRIPTOR: nothing provides {field!r}{nearest(field, provided)}\n    (provided: {known})"
                )
            elif field in self._training_only:
                problems.append(f"MODEL.DESCRIPTOR: {field!r} is computed in training only")
            elif len(shape := FIELDS[field].shape) not in (2, 3) or shape[-1] not in ("C", "D"):
                problems.append(f"MODEL.DESCRIPTOR: {field!r} is no descriptor (its shape is {', '.join(shape)})")
        return problems

    def forward(self, batch: Batch) -> ModelOutput:
        """Every field in training; in evaluation those that are not `training_only`."""
        if not batch.images.is_floating_point():
            raise ValueError(f"images must be normalised floats, got {batch.images.dtype}")
        known = {"visible": batch.visible} if self._tells_visible else {}
        feature_map, source = self.backbone(batch.images, batch.modality, **known)
        with without_autocast(feature_map):
            pooled = self.pool(feature_map)
        fields = {"feature_map": feature_map, "pooled": pooled, "pooled_image": pooled}
        if source is not None:
            fields |= {"branch": copies(source), "source": source}
        if self.adapter is not None:
            fields |= self._adapt(batch, source, feature_map, pooled)
        with without_autocast(feature_map):
            for name, head in self.heads.items():
                if not self.training and head.provides <= self._training_only:  # type: ignore[operator]
                    continue
                binding = self._bindings[f"heads.{name}"]
                fields |= {field: float32_or_more(fields[field]) for field in binding.values()}
                fields |= head(**serve(fields, binding))
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
        absent = sorted(field for parameter, field in binding.items() if field not in offered and required[parameter])
        if absent:
            place = f"MODEL.ATTRIBUTES ({type(self.attributes).__name__})"
            raise DataError(f"{place} needs {', '.join(absent)}, which the batch does not carry; set DATA.ATTRIBUTES")
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
        """What numbers of this network must be printed with: whence its attributes come, how they are embedded."""
        lengths = {} if self.unit else {"descriptor_lengths": "kept"}
        parts = (self.attributes, self.adapter)
        return {k: v for part in parts for k, v in getattr(part, "conditions", {}).items()} | lengths

    def validate(self, samples: Sequence[Sample]) -> None:
        """What the test images lack is said before one of them is opened: DataError of the attribute source."""
        check = getattr(self.attributes, "validate", None)
        if check is not None:
            check(samples)

    def embed(self, batch: Batch) -> Tensor:
        """(B, D) rows for retrieval, of length 1 unless `unit` is off; the module must be in evaluation mode.

        One field of one vector: that vector at length 1. Several fields, several parts (R, P, D) or several rows of an
        image: each vector at length 1, put side by side (fields in the order of `descriptor`), then at length 1 again.
        """
        assert not self.training, "describe() needs evaluation mode: batch statistics would leak between images"
        out = self(batch)
        pieces = [self._sized(float32_or_more(out.values[field])).flatten(1) for field in self.descriptor]
        rows = torch.cat(pieces, dim=1)
        if out.source is not None:  # rows of one image side by side, in the order in which they come
            rows = rows[torch.argsort(out.source, stable=True)].reshape(len(batch), -1)
        return self._sized(rows)

    def _sized(self, rows: Tensor) -> Tensor:
        return l2_normalize(rows) if self.unit else rows


def copies(source: Tensor) -> Tensor:
    """(R,) batch row of each feature row -> (R,) how many rows of the same image stand before it.

    >>> copies(torch.tensor([0, 1, 0, 1, 1]))
    tensor([0, 0, 1, 1, 2])
    """
    return (source.unsqueeze(0) == source.unsqueeze(1)).tril(diagonal=-1).sum(dim=1)

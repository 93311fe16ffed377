"""Glossary of the field names that parts exchange, with their shapes.

Shape letters: `B` batch rows, `R` feature rows (R = B unless a backbone multiplies rows), `C` channels, `H W` map
size, `D` feature width, `I` identities, `A` attributes, `P` parts, `Q` queries, `G` gallery, `K` neighbors.

A part may provide only the names listed here. Add a new name here, with its shape, before a part provides it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """Shape and meaning of a field."""

    shape: tuple[str, ...]
    meaning: str


FIELDS: dict[str, Field] = {
    "feature_map": Field(("R", "C", "H", "W"), "map that the heads read (after the adapter, if any)"),
    "pooled": Field(("R", "C"), "pooled feature_map (after the adapter, if any)"),
    "pooled_image": Field(("R", "C"), "pooled map before the adapter"),
    "class_token": Field(("R", "C"), "class token of a transformer after the last norm"),
    "features": Field(("R", "D"), "embedding before the BN neck; metric losses use it"),
    "features_bn": Field(("R", "D"), "embedding after the BN neck; classifiers and retrieval use it"),
    "features_joined": Field(("R", "D"), "embeddings before and after the BN neck, joined with weights"),
    "logits": Field(("R", "I"), "identity logits"),
    "part_features": Field(("R", "P", "D"), "one embedding for each part"),
    "part_logits": Field(("R", "P", "I"), "identity logits of each part"),
    "part_masks": Field(("R", "P", "H", "W"), "soft part masks"),
    "features_att": Field(("R", "D"), "part-attended embedding"),
    "logits_att": Field(("R", "I"), "identity logits of the part-attended embedding"),
    "attribute_feature": Field(
        ("R", "A|1", "C"), "output of PAE for the attribute head, for each attribute or for all"
    ),
    "attribute_logits": Field(("R", "A"), "attribute logits of the attribute head"),
    "attribute_prior_logits": Field(("R", "A"), "attribute logits before PAE, from the image alone"),
    "branch": Field(("R",), "index of the row among the rows of its image, from 0, for multi-branch backbones"),
    "source": Field(("R",), "batch row of each feature row, for multi-branch backbones"),
}

BATCH_FIELDS: dict[str, Field] = {
    "labels": Field(("R",), "identity, 0 .. I-1"),
    "modality": Field(("R",), "0 visible, 1 infrared"),
    "cameras": Field(("R",), "camera number of the dataset"),
    "view": Field(("R",), "augmented view of the image (VIEWS); 0: the first"),
    "index": Field(("R",), "row in the dataset"),
    "attributes": Field(("R", "A"), "attribute values in [0, 1]"),
    "attributes_known": Field(("R", "A"), "True for annotated entries"),
}

# Provided by every model, in addition to the fields of its parts.
MODEL_FIELDS = frozenset({"feature_map", "pooled", "pooled_image"})
BACKBONE_FIELDS = frozenset({"class_token"})  # of some backbones; a pool may request them instead of the map
ATTRIBUTE_FIELDS = frozenset({"attributes", "attributes_known"})  # in a batch only if the dataset has attributes
HEAD_FIELDS = frozenset({"modality"})  # of the batch, for each feature row; heads may request them

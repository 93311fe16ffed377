"""The one glossary of field names that parts hand to each other, and the shape letters of the project.

`B` batch rows, `R` feature rows (R = B unless a backbone multiplies rows), `C` channels, `H W` map size,
`D` feature width, `I` identities, `A` attributes, `P` parts, `Q` queries, `G` gallery, `K` neighbours.

A part may provide only names that stand here; a new name is added here, with its shape, first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """What a name stands for."""

    shape: tuple[str, ...]
    meaning: str


FIELDS: dict[str, Field] = {
    "feature_map": Field(("R", "C", "H", "W"), "map that the heads read (after the adapter, if any)"),
    "pooled": Field(("R", "C"), "pooled feature_map (after the adapter, if any)"),
    "pooled_image": Field(("R", "C"), "pooled map before the adapter"),
    "features": Field(("R", "D"), "descriptor before the BN neck; metric losses use this"),
    "features_bn": Field(("R", "D"), "descriptor after the BN neck; classifiers and retrieval use this"),
    "logits": Field(("R", "I"), "identity scores"),
    "part_features": Field(("R", "P", "D"), "one descriptor for each part"),
    "part_logits": Field(("R", "P", "I"), "identity scores of each part"),
    "part_masks": Field(("R", "P", "H", "W"), "soft part masks"),
    "features_att": Field(("R", "D"), "part-attended descriptor"),
    "logits_att": Field(("R", "I"), "identity scores of the part-attended descriptor"),
    "attribute_feature": Field(("R", "A|1", "C"), "what PAE hands to AAL: one vector for each attribute, or one"),
    "attribute_logits": Field(("R", "A"), "attribute prediction of AAL"),
    "attribute_prior_logits": Field(("R", "A"), "attribute prediction made before PAE"),
    "branch": Field(("R",), "which copy of the image a row is, from 0, where a backbone makes several"),
    "source": Field(("R",), "batch row of each feature row, where a backbone makes several of an image"),
}

BATCH_FIELDS: dict[str, Field] = {
    "labels": Field(("R",), "identity, 0 .. I-1"),
    "modality": Field(("R",), "0 visible, 1 infrared"),
    "cameras": Field(("R",), "camera number of the data set"),
    "view": Field(("R",), "0 unless a loader makes extra views of an image"),
    "index": Field(("R",), "row in the data set"),
    "attributes": Field(("R", "A"), "attribute values in [0, 1]"),
    "attributes_known": Field(("R", "A"), "False where nobody annotated"),
}

# On the table while a model runs, whatever its parts provide.
MODEL_FIELDS = frozenset({"feature_map", "pooled", "pooled_image"})
ATTRIBUTE_FIELDS = frozenset({"attributes", "attributes_known"})  # in a batch only where the data set has them

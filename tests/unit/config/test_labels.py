"""Parts that do not fit LABELS are reported before the dataset is read."""

from vireid.config.check import static_check
from vireid.config.load import make_config

DATA = {"NAME": "SysuMM01", "ROOT": "nowhere"}
IDENTITIES = {"NAME": "IdentityModalitySampler", "IDENTITIES": 4, "PER_MODALITY": 2}
PSEUDO = {"NAME": "DBSCANPseudoLabels"}


def texts(tree: dict, key: str) -> list[str]:
    return [
        problem.text for problem in static_check(make_config({"DATA": DATA, **tree})).problems if problem.key == key
    ]


def test_without_labels_the_labels_are_those_of_the_dataset():
    static = static_check(make_config({"DATA": DATA, "SAMPLER": IDENTITIES}))
    assert static.components.required("LABELS").entry.name == "AnnotatedLabels"
    assert static.info.num_ids == 395
    assert static.sound("SAMPLER", "LABELS")


def test_pseudo_labels_hide_the_numbers_of_identities_and_attributes():
    assert static_check(make_config({"DATA": DATA, "LABELS": PSEUDO})).info.num_ids == 0


def test_samplers_of_identities_and_pseudo_labels_are_refused():
    assert texts({"LABELS": PSEUDO, "SAMPLER": IDENTITIES}, "SAMPLER") == [
        "(IdentityModalitySampler) draws identities of the dataset, which LABELS = DBSCANPseudoLabels hides; use"
        " ClusterSampler"
    ]
    static = static_check(make_config({"DATA": DATA, "LABELS": PSEUDO, "SAMPLER": IDENTITIES}))
    assert not static.sound("SAMPLER")


def test_samplers_and_losses_of_clusters_need_pseudo_labels():
    expected = "set LABELS to DBSCANPseudoLabels"
    (sampler,) = texts({"SAMPLER": {"NAME": "ClusterSampler"}}, "SAMPLER")
    assert sampler.endswith(f"draws clusters of pseudo labels; {expected}")
    (loss,) = texts({"OBJECTIVE": {"CONTRAST": {"NAME": "AlternateCrossContrast"}}}, "OBJECTIVE.CONTRAST")
    assert loss.endswith(f"compares with clusters of pseudo labels; {expected}")


def test_parts_that_need_annotation_are_refused_also_where_they_are_nested():
    heads = {"ID": {"NAME": "IdentityHead"}, "ATTRIBUTES": {"NAME": "AttributeClassifier"}}
    (head,) = texts({"LABELS": PSEUDO, "MODEL": {"HEADS": heads}}, "MODEL.HEADS.ID")
    assert "needs the number of identities, which LABELS = DBSCANPseudoLabels hides" in head
    (head,) = texts({"LABELS": PSEUDO, "MODEL": {"HEADS": heads}}, "MODEL.HEADS.ATTRIBUTES")
    assert "needs attributes of persons" in head
    per_part = {"NAME": "PerPart", "OVER": "part_features_bn", "LOSS": {"NAME": "ConsistencyMemory"}}
    nested = texts({"LABELS": PSEUDO, "OBJECTIVE": {"PARTS": per_part}}, "OBJECTIVE.PARTS.LOSS")
    assert any("needs the number of identities" in text for text in nested)

"""Losses of cross-modality training, and the objective that sums them.

Every loss is an `nn.Module`. The parameter names of its `forward` are the fields that it receives (`core/fields.py`).
A loss returns one scalar or a mapping of named scalars. No loss depends on the order of the rows in a batch.
"""

from vireid.losses.adversarial import ModalityConfusion
from vireid.losses.attributes import AttributeBCE
from vireid.losses.center import CameraMarginCenters, IdentityMarginCenters
from vireid.losses.cluster_contrast import AggregatedDualContrast, AlternateCrossContrast, DualContrast
from vireid.losses.distillation import ModalityMutualLearning
from vireid.losses.diversity import CenterPairMining, OrthogonalBranches
from vireid.losses.graph import CrossModalityGraph
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.masks import CenterCluster, MaskDiversity, MaskSeparation
from vireid.losses.memory import ConsistencyMemory
from vireid.losses.mmd import MMD, MarginMMD
from vireid.losses.modality_shared import DiscriminativeCenter, ModalitySharedEnhancement
from vireid.losses.objective import Objective, Term
from vireid.losses.per_part import PerPart
from vireid.losses.retrieval import CrossModalityRetrieval
from vireid.losses.schedules import EpochWindow, InverseEpochLoss, LinearRamp
from vireid.losses.soft_targets import SoftTargets
from vireid.losses.triplet import (
    BatchHardTriplet,
    EnhancedSquaredTriplet,
    HeteroCenterTriplet,
    IntraModalityTriplet,
    WeightedRegularizedTriplet,
)

__all__ = [
    "MMD",
    "AggregatedDualContrast",
    "AlternateCrossContrast",
    "AttributeBCE",
    "BatchHardTriplet",
    "CameraMarginCenters",
    "CenterCluster",
    "CenterPairMining",
    "ConsistencyMemory",
    "CrossModalityGraph",
    "CrossModalityRetrieval",
    "DiscriminativeCenter",
    "DualContrast",
    "EnhancedSquaredTriplet",
    "EpochWindow",
    "HeteroCenterTriplet",
    "IdentityCrossEntropy",
    "IdentityMarginCenters",
    "IntraModalityTriplet",
    "InverseEpochLoss",
    "LinearRamp",
    "MarginMMD",
    "MaskDiversity",
    "MaskSeparation",
    "ModalityConfusion",
    "ModalityMutualLearning",
    "ModalitySharedEnhancement",
    "Objective",
    "OrthogonalBranches",
    "PerPart",
    "SoftTargets",
    "Term",
    "WeightedRegularizedTriplet",
]

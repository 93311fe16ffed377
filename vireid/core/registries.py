"""All registries, created empty; components register themselves on import."""

from __future__ import annotations

from vireid.core.registry import Registry

BACKBONES = Registry("backbone")
INSERTS = Registry("insert")
POOLS = Registry("pool")
HEADS = Registry("head")
ADAPTERS = Registry("adapter")
STAGES = Registry("attribute stage")
ATTRIBUTE_SOURCES = Registry("attribute source")
LOSSES = Registry("loss")
TERM_SCHEDULES = Registry("term schedule")

DATASETS = Registry("dataset")
LABEL_SOURCES = Registry("label source")
SAMPLERS = Registry("sampler")
AUGMENTATIONS = Registry("augmentation")

OPTIMIZERS = Registry("optimizer")
LR_SCHEDULES = Registry("learning-rate schedule")
CALLBACKS = Registry("callback")

PROTOCOLS = Registry("protocol")
SIMILARITIES = Registry("similarity")
INDEXES = Registry("index")
RERANKERS = Registry("re-ranking")
OPEN_SETS = Registry("open-set evaluation")

ALL = {name: value for name, value in list(globals().items()) if isinstance(value, Registry)}

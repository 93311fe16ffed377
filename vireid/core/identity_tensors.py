"""Identity tensors: state tensors with an axis of training identities (classifiers, memory banks, centers).

They belong to the identities of one training set. Evaluation does not use them, bundles do not contain them, and a
training that starts from weights of another dataset initializes them again.
"""

from __future__ import annotations

from torch import nn

from vireid.core.interfaces import HasIdentityTensors


def identity_tensors(module: nn.Module) -> frozenset[str]:
    """Return the names in `module.state_dict()` that the module and its submodules declare as identity tensors.

    Example:
        >>> from vireid.models import IdentityHead
        >>> sorted(identity_tensors(IdentityHead(num_ids=5, channels=4)))
        ['classifier.weight']
    """
    return frozenset(
        f"{path}.{name}" if path else name
        for path, part in module.named_modules()
        if isinstance(part, HasIdentityTensors)
        for name in part.identity_tensors
    )

"""MCLNet, whose network is AGW's, and its modality discriminator, which its checkpoints do not hold."""

from __future__ import annotations

from vireid.interop.released.agw import AGW
from vireid.interop.released.layout import Layout, Rule, register

CRITIC = (  # state of `losses.confusion.ModalityConfusion`
    Rule(r"map1\.(weight|bias)", r"\g<1>1"),
    Rule(r"map3\.(weight|bias)", r"\g<1>2"),
    Rule(r"bn\.weight", "scale"),
    Rule(r"bn\.bias", "shift"),
    Rule(r"bn\.(running_mean|running_var|num_batches_tracked)", None),  # always in training mode
    Rule(r"map2\.\w+", None),  # never run
)

register(Layout(model="mclnet", config="mclnet", rules=AGW, keys="agw"))
register(Layout(model="mclnet_discriminator", config=None, rules=CRITIC, dead=(r"map2\..+",)))

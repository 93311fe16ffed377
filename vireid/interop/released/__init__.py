r"""Convert state dicts of the released codes to the names of this package.

The released networks keep complete ResNets of which parts are used; tensors that never take part in a forward pass are
dropped. Their key lists are in `vireid/interop/keys/<model>.json.gz`: every tensor of a release with its shape, and
whether it is used.

To add a release:

1. Create its key list from a description of its state dict (`tools/make_key_list.py model file.json`), or name the
   release whose list it shares (`keys="agw"`).
2. Write one file here that registers its layout, and import it below:

   register(
       Layout(
           model="ddag",                            # the name of the release: `to_ours("ddag", tensors)`
           config="ddag",                           # the method in this package
           rules=(
               *TWO_STREAMS,                        # released.resnet has what several share
               Rule(r"wpa\.fc1\.0\.(\w+)", r"heads.parts.query.\1", MATRIX),   # a 1 x 1 convolution as a matrix
               Rule(r"attention_\d\..+|out_att\..+", None),                    # belongs to a loss: dropped
           ),
           dead=(r"classifier[12]\.weight",),       # never used by the release, in addition to the list
       )
   )

   The first rule that matches a complete name places it; each used name needs one. A group named `share` in a
   pattern is the share of the rows of the joined tensor: its number, or its index in `shares`. `form` converts the
   values: SAME, MATRIX, TRANSPOSED, LAYER (one of several equal layers), or another `Form`.
   Axes that count identities are found automatically (their length in the key list is its number of identities, or
   twice that). `also` names tensors that only some files have,
   `given` tensors that only the network of this package has, with their values.
3. Add its golden networks to `tests/golden`; `tests/unit/interop/test_released.py` covers every layout that has a
   config automatically.
"""

from vireid.interop.released import (
    adca,
    agw,
    ddag,
    deen,
    efficientnet_lite,
    hct,
    mce,
    mcja,
    mclnet,
    mmd,
    mpanet,
    paenet,
    pmt,
    rle,
    saai,
)
from vireid.interop.released.convert import Release, identities, release, to_ours, to_released
from vireid.interop.released.layout import LAYOUTS, Key, Layout

MODELS = tuple(LAYOUTS)
CONFIGS = {
    name: layout.config for name, layout in LAYOUTS.items() if layout.config
}  # the shipped method of each release

__all__ = [
    "CONFIGS",
    "LAYOUTS",
    "MODELS",
    "Key",
    "Layout",
    "Release",
    "adca",
    "agw",
    "ddag",
    "deen",
    "efficientnet_lite",
    "hct",
    "identities",
    "mce",
    "mcja",
    "mclnet",
    "mmd",
    "mpanet",
    "paenet",
    "pmt",
    "release",
    "rle",
    "saai",
    "to_ours",
    "to_released",
]

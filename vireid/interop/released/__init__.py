r"""State dicts of the released codes under the names of ours.

The released networks keep whole ResNets where parts of each are used; what never takes part in a forward pass is
dropped. Their key lists lie in `vireid/interop/keys/<model>.json.gz`: every tensor of a release with its shape, and
whether it is used.

To add a release:

1. Make its key list from a description of its state dict (`tools/make_key_list.py model file.json`), or name the
   release whose list it shares (`keys="agw"`).
2. Write one file here that registers its layout, and import it below:

   register(
       Layout(
           model="ddag",                            # the name of the release: `to_ours("ddag", tensors)`
           config="ddag",                           # the method that it is here
           rules=(
               *TWO_STREAMS,                        # released.resnet has what several share
               Rule(r"wpa\.fc1\.0\.(\w+)", r"heads.parts.query.\1", MATRIX),   # a 1 x 1 convolution, a matrix here
               Rule(r"attention_\d\..+|out_att\..+", None),                    # belongs to a loss: dropped
           ),
           dead=(r"classifier[12]\.weight",),       # never used by the release, beside those that the list marks
       )
   )

   The first rule that fits a name in full places it, and each used name has to have one. A group named `share` in a
   pattern says which share of the rows of our tensor a released one is: its number, or its place in `shares`. `form`
   says how the numbers lie: SAME, MATRIX, TRANSPOSED, LAYER (one of several equal layers), or a `Form` of your own.
   Axes that count identities are found by themselves (their length in the key list is its number of identities, or
   twice that). `also` names tensors that only some files have,
   `given` tensors that only our network has, with their values.
3. Add its golden networks to `tests/golden`; `tests/unit/interop/test_released.py` covers every layout that has a
   config by itself.
"""

from vireid.interop.released import agw, ddag, deen, hct, mce, mclnet, mmd, mpanet, paenet
from vireid.interop.released.convert import Release, identities, release, to_ours, to_released
from vireid.interop.released.layout import LAYOUTS, Key, Layout

MODELS = tuple(LAYOUTS)
CONFIGS = {name: layout.config for name, layout in LAYOUTS.items() if layout.config}  # the method that each one is here

__all__ = [
    "CONFIGS",
    "LAYOUTS",
    "MODELS",
    "Key",
    "Layout",
    "Release",
    "agw",
    "ddag",
    "deen",
    "hct",
    "identities",
    "mce",
    "mclnet",
    "mmd",
    "mpanet",
    "paenet",
    "release",
    "to_ours",
    "to_released",
]

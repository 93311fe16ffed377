"""License identifiers of the Hugging Face hub."""

from __future__ import annotations

import re

_LISTED = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m bsd
bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lppl-1.3c mit
mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 pddl postgresql unlicense wtfpl zlib
"""
IDENTIFIERS = frozenset(_LISTED.split())


def license_identifier(text: str) -> str | None:
    """Return the identifier of a license on the hub; None if the hub does not list it.

    Upper and lower case, spaces, "License", "v2" and a missing ".0" do not matter.

    Example:
        >>> license_identifier("CC BY-NC 4.0"), license_identifier("Apache License 2"), license_identifier("MIT")
        ('cc-by-nc-4.0', 'apache-2.0', 'mit')
        >>> license_identifier("research use only") is None
        True
    """
    words = re.sub(r"\b(the|licen[sc]e|version)\b", " ", text.lower())
    name = re.sub(r"[\s_,-]*\bv(?=\d)|(?<=[a-z])v(?=\d)|[\s_,-]+", "-", words).strip("-")
    return next((each for each in (name, f"{name}.0") if each in IDENTIFIERS), None)


def license_slug(text: str) -> str:
    """Write a license that the hub does not list in the form of its `license_name`.

    Example:
        >>> license_slug("Research use only (ETH)")
        'research-use-only-eth'
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "other"

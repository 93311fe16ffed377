"""Binary attributes: read several file formats into one checked table. See docs/attributes.md."""

from vireid.data.attributes import released, sheets, table
from vireid.data.attributes.released import NUM_ATTRIBUTES, read_sysu_attributes
from vireid.data.attributes.sheets import attribute_value, read_attributes
from vireid.data.attributes.table import UNKNOWN, AttributeTable, attach, table_findings

__all__ = [
    "NUM_ATTRIBUTES",
    "UNKNOWN",
    "AttributeTable",
    "attach",
    "attribute_value",
    "read_attributes",
    "read_sysu_attributes",
    "released",
    "sheets",
    "table",
    "table_findings",
]

"""Other people's files to ours and back."""

from vireid.interop import released

__all__ = ["released"]

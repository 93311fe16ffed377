#!/usr/bin/env python3
"""Build a gallery of embeddings and search it with images: the same as `vireid gallery`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "gallery", prog="tools/gallery.py")
main = partial(run_command, "gallery", prog="tools/gallery.py")

if __name__ == "__main__":
    raise SystemExit(main())

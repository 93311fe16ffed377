"""The `vireid` command: one module for each subcommand."""

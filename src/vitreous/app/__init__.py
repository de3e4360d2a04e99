"""The command line. It answers `--help` without torch: commands import what they need."""

from vitreous.app._exit import main, run

__all__ = ["main", "run"]

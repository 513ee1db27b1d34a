"""Where things lie in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
V8 = TARGET / "v8"
CARGO_CONFIG = ROOT / ".cargo" / "config.toml"

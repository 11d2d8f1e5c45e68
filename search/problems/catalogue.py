"""The problems we ship, by name."""

PROBLEMS: dict[str, str] = {}

"""The provenance header of a profile, as `inference.models.profile` reads it."""

import json
from collections.abc import Mapping


def heading(values: Mapping[str, str]) -> str:
    """Comment lines of TOML, one for each key."""
    return "".join(
        f"# {key} = {json.dumps(text, ensure_ascii=False)}\n" for key, text in values.items()
    )

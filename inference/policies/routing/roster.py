"""Which replicas accept requests, by model, and by home pool within it."""

from dataclasses import dataclass, field

from inference.domain.replica import Role
from inference.domain.view import ClusterView


@dataclass(slots=True)
class Roster:
    """Accepting replicas by rising index; up to date after `refresh`, which drivers ask for at every change.

    Attributes:
        everyone: by model.
        prefill, decode: by model, those whose home pool is for that phase; mixed replicas are in both.
    """

    everyone: dict[int, list[int]] = field(default_factory=dict)
    prefill: dict[int, list[int]] = field(default_factory=dict)
    decode: dict[int, list[int]] = field(default_factory=dict)

    def refresh(self, view: ClusterView) -> None:
        """Read who accepts."""
        self.everyone, self.prefill, self.decode = {}, {}, {}
        for replica, accepts in enumerate(view.accepting):
            if not accepts:
                continue
            model, role = view.model_id[replica], view.role[replica]
            self.everyone.setdefault(model, []).append(replica)
            if role != Role.DECODE:
                self.prefill.setdefault(model, []).append(replica)
            if role != Role.PREFILL:
                self.decode.setdefault(model, []).append(replica)

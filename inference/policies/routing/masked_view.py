"""A view of the cluster in which some replicas take no requests."""

from collections.abc import Sequence

from inference.domain.view import ClusterView, Resident


class MaskedView:
    """Another view, but for its `accepting` column. Columns are documented in `domain.view.ClusterView`."""

    __slots__ = ("_view", "accepting")

    def __init__(self, view: ClusterView, accepting: Sequence[bool]) -> None:
        self._view = view
        self.accepting = accepting

    @property
    def role(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.role

    @property
    def pool(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.pool

    @property
    def model_id(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.model_id

    @property
    def tp(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.tp

    @property
    def clock_mhz(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.clock_mhz

    @property
    def pending_tokens(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.pending_tokens

    @property
    def kv_committed_bytes(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.kv_committed_bytes

    @property
    def kv_capacity_bytes(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.kv_capacity_bytes

    @property
    def kv_bytes_per_token(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.kv_bytes_per_token

    @property
    def waiting_requests(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.waiting_requests

    @property
    def running_requests(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.running_requests

    @property
    def prompt_tokens_total(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.prompt_tokens_total

    @property
    def output_tokens_total(self) -> Sequence[int]:
        """As in the view behind."""
        return self._view.output_tokens_total

    @property
    def energy_j(self) -> Sequence[float]:
        """As in the view behind."""
        return self._view.energy_j

    def residents(self, replica: int) -> Sequence[Resident]:
        """As in the view behind."""
        return self._view.residents(replica)

    def power_w(self, replica: int) -> float:
        """As in the view behind."""
        return self._view.power_w(replica)

"""The servers of one workload behind one queue, advanced in stretches during which no clock changes.

Each server serves one request at a time, the one that waited longest; times are exact, not stepped. A stretch is first
drafted to its hoped-for end and then settled at the end that it really has: a command that lands cuts it short, and the
requests that were drafted to start after it are forgotten and drafted again at the new clocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from inference.row.profile import ClockProfile, ServerProfile

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)

WINDOW_REQUESTS = 4096
"""Requests whose times are reckoned at once, ahead of the stretches that need them."""

BLOCK_REQUESTS = 256
"""Arrivals that are turned into Python numbers at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """Requests that would start before the end of a stretch, in order of their start.

    Attributes:
        slot: server of the pool that each starts on.
        start_ns, prefilled_ns, finish_ns: of each, at the clocks in force.
        prefill_w, decode_w: of the server while it prefills and decodes them.
    """

    slot: Int64
    start_ns: Int64
    prefilled_ns: Int64
    finish_ns: Int64
    prefill_w: Float64
    decode_w: Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Requests `first` up to `last` at one clock; the list repeats the totals for the loop that queues."""

    first: int
    last: int
    prefill_ns: Int64
    total_ns: Int64
    prefill_w: Float64
    total_list: list[int]


class Pool:
    """Servers of one workload, and their requests.

    Attributes:
        servers: the first and one past the last index of its servers in the row.
        arrival_ns, prompt_tokens, output_tokens: its requests, in order of arrival.
        start_ns, finish_ns: of each request; -1 until it has started. A finish may still move when a clock changes.
    """

    def __init__(
        self,
        servers: range,
        profile: ServerProfile,
        arrival_ns: Int64,
        prompt_tokens: Int64,
        output_tokens: Int64,
    ) -> None:
        """All servers are idle, at the highest clock."""
        self.servers = servers
        self.arrival_ns = arrival_ns
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.start_ns = np.full(len(arrival_ns), -1, dtype=np.int64)
        self.finish_ns = np.full(len(arrival_ns), -1, dtype=np.int64)
        self._profile = profile
        count = len(servers)
        self._clock = [profile.at_clock(profile.clock_mhz_max)] * count
        self._request = np.full(count, -1, dtype=np.int64)
        self._prefilled_ns = np.zeros(count, dtype=np.int64)
        self._free_ns = np.zeros(count, dtype=np.int64)
        self._prefill_w = np.full(count, profile.idle_w)
        self._decode_w = np.full(count, profile.idle_w)
        self._next = 0
        self._windows: dict[int, _Window] = {}

    @property
    def waiting(self) -> int:
        """Index of the first request that has not started."""
        return self._next

    def power_w(self, now_ns: int) -> float:
        """Power of its servers just after `now_ns`."""
        busy = np.where(now_ns < self._prefilled_ns, self._prefill_w, self._decode_w)
        return float(np.where(now_ns < self._free_ns, busy, self._profile.idle_w).sum())

    def draft(self, until_ns: int) -> Draft:
        """Requests that start before `until_ns` if no clock changes until then. Nothing is settled."""
        first = self._next
        last = max(first, int(np.searchsorted(self.arrival_ns, until_ns)))
        clocks = list(dict.fromkeys(self._clock))
        windows = [self._window(clock, first, last) for clock in clocks]
        kind = [clocks.index(clock) for clock in self._clock]
        totals = [(windows[k].total_list, first - windows[k].first) for k in kind]
        slots, starts = self._queue(first, last, until_ns, totals)
        slot = np.array(slots, dtype=np.int64)
        start = np.array(starts, dtype=np.int64)
        of = np.array(kind, dtype=np.int64)[slot]
        prefill_ns = self._chosen([own.prefill_ns for own in windows], windows, of)
        total_ns = self._chosen([own.total_ns for own in windows], windows, of)
        prefill_w = self._chosen([own.prefill_w for own in windows], windows, of)
        decode_w = np.array([clock.decode_w for clock in clocks])[of]
        return Draft(slot, start, start + prefill_ns, start + total_ns, prefill_w, decode_w)

    def _window(self, clock: ClockProfile, first: int, last: int) -> "_Window":
        """Times and power of requests `first` up to `last` at a clock, and of more behind them for the next stretches."""
        known = self._windows.get(clock.clock_mhz)
        if known is not None and known.first <= first and last <= known.last:
            return known
        end = min(len(self.arrival_ns), last + WINDOW_REQUESTS)
        prompts, outputs = self.prompt_tokens[first:end], self.output_tokens[first:end]
        prefill_ns = clock.prefill_time_ns(prompts)
        total_ns = prefill_ns + clock.decode_time_ns(prompts, outputs)
        power_w = clock.prefill_power_w(prompts)
        made = _Window(first, end, prefill_ns, total_ns, power_w, total_ns.tolist())
        self._windows[clock.clock_mhz] = made
        return made

    def _chosen(
        self, columns: "list[npt.NDArray[Number]]", windows: "list[_Window]", of: Int64
    ) -> "npt.NDArray[Number]":
        """Of the next requests, each one's value at the clock of its server."""
        parts = [
            column[self._next - window.first : self._next - window.first + len(of)]
            for column, window in zip(columns, windows, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.choose(of, parts)

    def _queue(
        self, first: int, last: int, until_ns: int, totals: list[tuple[list[int], int]]
    ) -> tuple[list[int], list[int]]:
        """First come, first served, onto the server that is free first.

        `totals` gives for each server the times of requests at its clock, and where request `first` is among them. Only
        as many arrivals are looked at as can start: a long queue costs nothing.
        """
        free = [(int(at), slot) for slot, at in enumerate(self._free_ns)]
        heapify(free)
        slots: list[int] = []
        starts: list[int] = []
        for begin in range(first, last, BLOCK_REQUESTS):
            block = self.arrival_ns[begin : min(last, begin + BLOCK_REQUESTS)].tolist()
            for row, arrival in enumerate(block, begin - first):
                at, slot = free[0]
                start = max(arrival, at)
                if start >= until_ns:
                    return slots, starts
                total_ns, offset = totals[slot]
                heapreplace(free, (start + total_ns[offset + row], slot))
                slots.append(slot)
                starts.append(start)
        return slots, starts

    def steps(self, draft: Draft, from_ns: int) -> tuple[Int64, Float64]:
        """Times at which its power changes after `from_ns`, and by how much; those of the draft and of requests in service."""
        idle_w = self._profile.idle_w
        prefilling = self._prefilled_ns > from_ns
        serving = self._free_ns > from_ns
        times = (
            self._prefilled_ns[prefilling],
            self._free_ns[serving],
            draft.start_ns,
            draft.prefilled_ns,
            draft.finish_ns,
        )
        changes = (
            (self._decode_w - self._prefill_w)[prefilling],
            (idle_w - self._decode_w)[serving],
            draft.prefill_w - idle_w,
            draft.decode_w - draft.prefill_w,
            idle_w - draft.decode_w,
        )
        return np.concatenate(times), np.concatenate(changes)

    def settle(self, draft: Draft, until_ns: int) -> None:
        """Keep the requests of the draft that started before `until_ns`, the end that the stretch really has."""
        kept = int(np.searchsorted(draft.start_ns, until_ns))
        slot = draft.slot[:kept]
        rows = slice(self._next, self._next + kept)
        self.start_ns[rows] = draft.start_ns[:kept]
        self.finish_ns[rows] = draft.finish_ns[:kept]
        # Of several requests on one server the last assignment stays, which is the last request.
        self._request[slot] = np.arange(rows.start, rows.stop)
        self._prefilled_ns[slot] = draft.prefilled_ns[:kept]
        self._free_ns[slot] = draft.finish_ns[:kept]
        self._prefill_w[slot] = draft.prefill_w[:kept]
        self._decode_w[slot] = draft.decode_w[:kept]
        self._next += kept

    def set_clock(self, slots: Sequence[int], clock_mhz: int, now_ns: int) -> None:
        """Change servers' clock; what their requests still have to do takes the time that it takes at the new one."""
        new = self._profile.at_clock(clock_mhz)
        for old in dict.fromkeys(self._clock[slot] for slot in slots):
            changed = [slot for slot in slots if self._clock[slot] is old]
            for slot in changed:
                self._clock[slot] = new
            busy = np.array([slot for slot in changed if now_ns < self._free_ns[slot]], dtype=int)
            if old is not new and busy.size:
                self._retime(busy, old, new, now_ns)

    def _retime(self, busy: Int64, old: ClockProfile, new: ClockProfile, now_ns: int) -> None:
        request = self._request[busy]
        prompts, outputs = self.prompt_tokens[request], self.output_tokens[request]
        prefilled, free = self._prefilled_ns[busy], self._free_ns[busy]
        prefill_left = _stretched(
            prefilled - now_ns, old.prefill_time_ns(prompts), new.prefill_time_ns(prompts)
        )
        was_ns, is_ns = (clock.decode_time_ns(prompts, outputs) for clock in (old, new))
        decode_left = _stretched(free - np.maximum(now_ns, prefilled), was_ns, is_ns)
        self._prefilled_ns[busy] = np.where(now_ns < prefilled, now_ns + prefill_left, prefilled)
        self._free_ns[busy] = np.maximum(now_ns, self._prefilled_ns[busy]) + decode_left
        self.finish_ns[request] = self._free_ns[busy]
        self._prefill_w[busy] = new.prefill_power_w(prompts)
        self._decode_w[busy] = new.decode_w


def _stretched(left_ns: Int64, was_ns: Int64, is_ns: Int64) -> Int64:
    """Time left of work that took `was_ns` as a whole and takes `is_ns` now; what is done stays done."""
    share = np.maximum(left_ns, 0) / np.maximum(was_ns, 1)
    return np.rint(share * is_ns).astype(np.int64)

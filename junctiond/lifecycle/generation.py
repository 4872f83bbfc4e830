"""One version of a function: what its caller sent, the image it meant then, and the plan that follows from both."""

from dataclasses import dataclass

from junctiond.domain import Deployment
from junctiond.images.base import Image
from junctiond.sandbox.plan import LaunchPlan, Watchdog


@dataclass(frozen=True, slots=True)
class Generation:
    """A version that can be launched. Numbers only grow and are never given twice on one host."""

    number: int
    deployment: Deployment
    image: Image
    watchdog: Watchdog
    plan: LaunchPlan

"""What all scenarios share: one invocation of a function, and what counts as a failure."""

import os

from locust import FastHttpUser

FUNCTION = os.environ.get("FUNCTION", "aes")
BODY_BYTES = int(os.environ.get("BODY_BYTES", "600"))
BODY = "".join(chr(ord("!") + number % 89) for number in range(BODY_BYTES))


class Invoker(FastHttpUser):
    """A client of one function. Set FUNCTION and BODY_BYTES in the environment to change what is sent."""

    abstract = True
    network_timeout = 10.0
    connection_timeout = 10.0

    def invoke(self, headers: dict[str, str] | None = None) -> None:
        """Sends one body; anything but a 200 is a failure, and of `aes` anything but as many bytes."""
        with self.client.post(
            f"/function/{FUNCTION}",
            data=BODY,
            headers=headers,
            catch_response=True,
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif FUNCTION == "aes" and len(answer.content or b"") != BODY_BYTES:
                answer.failure(f"{len(answer.content or b'')} bytes instead of {BODY_BYTES}")

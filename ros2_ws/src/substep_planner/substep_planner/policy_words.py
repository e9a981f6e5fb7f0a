"""Asks the policy node for its own words, from a thread of the planner."""

from __future__ import annotations

import threading

from rclpy.client import Client
from substep_interfaces.srv import NameSubstep

from substep_core.errors import ErrorCode, PlanningError
from substep_core.named_substep import NamedSubstep


class PolicyWords:
    """Args: timeout: s of wall time, for the policy to be there and to answer."""

    def __init__(self, client: Client, timeout: float) -> None:
        self._client, self._timeout = client, timeout

    def ask(self, task: str) -> NamedSubstep:
        """What comes next in ``task``. Blocks; not to be called by the executor.

        Raises:
            PlanningError: there is no policy, it has no words, or it does not answer in time.
        """
        if not self._client.wait_for_service(self._timeout):
            raise _failed(f"no policy whose model has words offers {self._client.srv_name} within {self._timeout:g} s")
        answered = threading.Event()
        future = self._client.call_async(NameSubstep.Request(task=task))
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(self._timeout):
            self._client.remove_pending_request(future)
            raise _failed(f"the policy names no substep within {self._timeout:g} s")
        answer = future.result()
        if not answer.success:
            raise _failed(answer.message)
        return NamedSubstep(answer.instruction, answer.probability, answer.is_complete)


def _failed(why: str) -> PlanningError:
    return PlanningError(ErrorCode.BACKEND_FAILED, why)

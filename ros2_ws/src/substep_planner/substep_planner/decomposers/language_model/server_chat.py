"""A language model on a server, asked over HTTP with patience, and without what the server refuses."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from substep_core.printable import printable
from substep_planner.decomposers.language_model.bounded_post import Answer, BadAnswer, NoConnection, post
from substep_planner.decomposers.language_model.chat import BackendError, Message
from substep_planner.decomposers.language_model.server_api import Question, ServerApi, Usage, only
from substep_planner.decomposers.language_model.server_settings import AUTOMATIC, ServerSettings

FIRST_PAUSE = 0.5  # s, doubled with every retry
LONGEST_PAUSE = 10.0  # s
REFUSALS = (400, 422, 500, 501)  # statuses with which servers answer to fields that they do not know

log = logging.getLogger(__name__)


class ServerChat:
    """Asks a server. A field that it refuses is left out from then on.

    Args:
        sleep: waits between retries, in s.

    Raises:
        ValueError: the API does not know the form of answers that is asked for.
    """

    def __init__(self, settings: ServerSettings, api: ServerApi, sleep: Callable[[float], None] = time.sleep) -> None:
        self.backend, self.model = api.name, settings.model
        self._settings, self._api, self._sleep = settings, api, sleep
        self._address = f"{settings.url.rstrip('/')}/{api.path}"
        self._usage = api.usage if settings.form == AUTOMATIC else only(settings.form, api.usage)

    def answer(self, messages: Sequence[Message], schema: Mapping[str, Any], image: np.ndarray | None = None) -> str:
        """See ``ChatModel``."""
        question = Question(self.model, messages, schema, image, self._settings.max_tokens)
        content = self._ask(question)
        try:
            return self._api.text(json.loads(content))
        except BackendError as error:
            raise self._failure(str(error)) from error
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise self._failure(f"this is no answer of {self._api.path}: {content[:200]!r}") from error

    def _ask(self, question: Question) -> bytes:
        """Without what the server refuses, all within one deadline; what it takes is remembered."""
        deadline = time.monotonic() + self._settings.timeout
        usage = self._usage
        while (answer := self._ask_patiently(question, usage, deadline)).status != 200:
            refused, usage = _without_refused(answer, usage)
            log.warning("%s", printable(f"{self._address} does not take {refused}, which is left out: {answer}"))
        self._usage = usage
        return answer.content

    def _ask_patiently(self, question: Question, usage: Usage, deadline: float) -> Answer:
        """A status 200, or the refusal of something that can be left out."""
        pause, tries = FIRST_PAUSE, 0
        while True:
            tries += 1
            outcome = self._try(question, usage, deadline, tries)
            if isinstance(outcome, Answer):
                if outcome.status == 200 or _without_refused(outcome, usage) is not None:
                    return outcome
                if not outcome.may_pass:
                    raise self._failure(str(outcome))
            wait = min(max(pause, outcome.pause), LONGEST_PAUSE)
            if tries > self._settings.retries or time.monotonic() + wait >= deadline:
                raise self._failure(f"{outcome} (tries: {tries})")
            self._sleep(wait)
            pause *= 2

    def _try(self, question: Question, usage: Usage, deadline: float, tries: int) -> Answer | NoConnection:
        try:
            body, headers = self._api.body(question, usage), self._api.headers(self._settings.key)
            return post(self._address, body, headers, deadline)
        except NoConnection as error:
            return error
        except BadAnswer as error:
            raise self._failure(str(error)) from error
        except TimeoutError as error:
            late = f"no whole answer within {self._settings.timeout:g} s"
            raise self._failure(f"{late} (tries: {tries})") from error

    def _failure(self, why: str) -> BackendError:
        return BackendError(printable(f"{self._address}: {why}"))


def _without_refused(answer: Answer, usage: Usage) -> tuple[str, Usage] | None:
    return usage.without(_refusal(answer)) if answer.status in REFUSALS else None


def _refusal(answer: Answer) -> str:
    """The server's words; where it names the field, that first."""
    words = answer.content[:4000].decode(errors="replace")
    try:
        field = json.loads(answer.content)["error"]["param"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return words
    return f"{field} {words}"

"""A language model as a decomposer: prompt, answer, checks, one repair, cache."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import Plan, PlanFormatError, Substep, normalise_instruction
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.language_model.anthropic_messages import AnthropicMessages
from substep_planner.decomposers.language_model.cache import CacheKey, PlanCache
from substep_planner.decomposers.language_model.chat import BackendError, ChatModel, Message
from substep_planner.decomposers.language_model.chat_completions import ChatCompletions
from substep_planner.decomposers.language_model.prompt import Prompt, load_prompt
from substep_planner.decomposers.language_model.reply import REPLY_SCHEMA, plan_from_reply
from substep_planner.decomposers.language_model.server_chat import ServerChat
from substep_planner.decomposers.language_model.server_settings import ServerSettings
from substep_planner.decomposers.plan_checks import in_shared_words, missing_things
from substep_planner.decomposers.registry import DecomposerSettings

_NO_PLAN = Plan("", (Substep("none", "none"),))  # stands in drafts that could not be read
_REPAIR = "This plan cannot be used: {problems}. Answer again with the whole corrected JSON and nothing else."


class LanguageModelDecomposer:
    """Asks a model, and once more if its plan does not pass the checks.

    Args:
        show_image: whether the model is shown the scene.
    """

    def __init__(self, chat: ChatModel, prompt: Prompt, cache: PlanCache, show_image: bool = False) -> None:
        self.name = chat.backend
        self._chat = chat
        self._prompt = prompt
        self._cache = cache
        self.wants_picture = show_image
        self._one_at_a_time = threading.Lock()

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``."""
        source = f"{self.name}:{self._chat.model}"
        if self.wants_picture and request.image is None:
            raise PlanningError(ErrorCode.BACKEND_FAILED, f"{source}: there is no picture of the scene to show")
        with self._one_at_a_time:
            try:
                return self._from_cache_or_model(request, source)
            except BackendError as error:
                raise PlanningError(ErrorCode.BACKEND_FAILED, f"{source}: {error}") from error
            except PlanFormatError as error:
                raise PlanningError(ErrorCode.INVALID_PLAN, f"{source}: {error}") from error

    def _from_cache_or_model(self, request: PlanRequest, source: str) -> SourcedPlan:
        key = self._cache_key(request)
        if key is not None and (plan := self._cache.get(key)) is not None:
            return SourcedPlan(plan, f"{source} (cached)")
        plan = self._ask(request)
        if key is not None:
            self._cache.put(key, plan)
        return SourcedPlan(plan, source)

    def _cache_key(self, request: PlanRequest) -> CacheKey | None:
        """None for plans that depend on more than words: what was done or went wrong, what the scene looks like."""
        if request.done or request.failure is not None or self.wants_picture:
            return None
        instruction = normalise_instruction(request.instruction)
        objects = (*sorted(request.objects), *(f"can {skill}" for skill in request.skills))
        return CacheKey(self.name, self._chat.model, self._prompt.version, instruction, objects)

    def _ask(self, request: PlanRequest) -> Plan:
        messages = [Message("system", self._prompt.system), Message("user", self._prompt.user_text(request))]
        image = request.image if self.wants_picture else None
        answer = self._chat.answer(messages, REPLY_SCHEMA, image)
        first = _Draft.read(request, answer)
        if not first.problems and not first.missing:
            return first.plan
        repair = _REPAIR.format(problems="; ".join([*first.problems, *first.missing]))
        messages += [Message("assistant", answer), Message("user", repair)]
        second = _Draft.read(request, self._chat.answer(messages, REPLY_SCHEMA, image))
        if not second.problems:
            return second.plan
        if not first.problems:  # it only named what the scene lacks, which is reported with the plan
            return first.plan
        raise PlanFormatError(f"no usable plan, not after a repair either: {'; '.join(second.problems)}")


@dataclass(frozen=True)
class _Draft:
    """A plan as a model gave it, with what makes it unusable and what it names that the scene lacks."""

    plan: Plan
    problems: list[str]
    missing: list[str]

    @classmethod
    def read(cls, request: PlanRequest, answer: str) -> _Draft:
        try:
            plan, problems = in_shared_words(plan_from_reply(request.instruction, answer), request.skills)
        except PlanFormatError as error:
            return cls(_NO_PLAN, [str(error)], [])
        missing = [f"the scene has no {name}" for name in missing_things(plan, request.objects, request.skills)]
        return cls(plan, problems, missing)


def create_transformers(settings: DecomposerSettings) -> LanguageModelDecomposer:
    # imports torch and transformers, which no other decomposer needs
    from substep_planner.decomposers.language_model.transformers_chat import LocalModelSettings, TransformersChat

    model = LocalModelSettings(
        settings.transformers_model, settings.device, settings.max_tokens, look=settings.show_image
    )
    return _with(TransformersChat(model), settings)


def create_openai(settings: DecomposerSettings) -> LanguageModelDecomposer:
    server = _server(settings, settings.openai_url, settings.openai_model, settings.openai_key_variable)
    return _with(ServerChat(server, ChatCompletions()), settings)


def create_anthropic(settings: DecomposerSettings) -> LanguageModelDecomposer:
    server = _server(settings, settings.anthropic_url, settings.anthropic_model, settings.anthropic_key_variable)
    return _with(ServerChat(server, AnthropicMessages()), settings)


def _server(settings: DecomposerSettings, url: str, model: str, key_variable: str) -> ServerSettings:
    return ServerSettings(
        url=url,
        model=model,
        key=os.environ.get(key_variable, ""),
        timeout=settings.server_timeout,
        retries=settings.server_retries,
        max_tokens=settings.max_tokens,
        form=settings.server_form,
    )


def _with(chat: ChatModel, settings: DecomposerSettings) -> LanguageModelDecomposer:
    cache = PlanCache(Path(settings.plan_cache).expanduser() if settings.plan_cache else None)
    return LanguageModelDecomposer(chat, load_prompt(settings.prompt), cache, settings.show_image)

"""Names that people write into configurations: checked there, since ROS refuses wrong ones late or not at all."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_TOPIC = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a name")
    return text


def _frame(text: str) -> str:
    if not re.fullmatch(r"[^\s/]\S*", text):
        raise ValueError("expected the name of a frame, without spaces or a slash before it")
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise ValueError("expected a ROS name: words of letters, digits and _ with / between them")
    return text


Name = Annotated[str, AfterValidator(_name)]  # of anything; not empty
FrameName = Annotated[str, AfterValidator(_frame)]
OptionalFrameName = Annotated[str, AfterValidator(lambda text: text and _frame(text))]
TopicName = Annotated[str, AfterValidator(_topic)]  # of a topic, a service or an action
OptionalTopicName = Annotated[str, AfterValidator(lambda text: text and _topic(text))]

"""Message types of bags, compared with those that are installed here."""

from __future__ import annotations

import importlib

from substep_bags.definitions import FEEDBACK_MESSAGE, UnknownType, message_type
from substep_bags.reader import Bag, BagError


def installed_class(bag: Bag, topic: str) -> type:
    """The class of a topic's messages.

    Raises:
        BagError: the type is not installed, or in another definition than the bag's.
    """
    name = bag.topics[topic].type
    try:
        found = _message_class(name)
        expected = message_type(name).hash
    except (ImportError, AttributeError, ValueError, UnknownType) as error:  # ValueError: not three words
        raise BagError(
            f"{bag.path}: {topic} is of type {name}, which is not installed ({error}): install its package, or leave "
            f"the topic out with --exclude {topic}"
        ) from error
    check_definition(bag, topic, expected)
    return found


def check_definition(bag: Bag, topic: str, expected: str) -> None:
    """Bytes of another definition of a type are other messages, or none. What tells no definition passes.

    Args:
        expected: hash of the installed definition.

    Raises:
        BagError: the topic has another one.
    """
    found = bag.topics[topic]
    if found.hash not in ("", expected):
        commit = bag.about.get("commit")
        made = f"commit {commit}, which made it" if commit else "the version of substep that made it"
        raise BagError(
            f"{bag.path}: {topic} has another definition of {found.type} than the installed one ({found.hash[:15]}…, "
            f"expected {expected[:15]}…): check out {made}"
        )


def _message_class(name: str) -> type:
    package, kind, short = name.split("/")
    module = importlib.import_module(f"{package}.{kind}")
    if short.endswith(FEEDBACK_MESSAGE):
        return getattr(module, short.removesuffix(FEEDBACK_MESSAGE)).Impl.FeedbackMessage
    return getattr(module, short)

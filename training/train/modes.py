"""What a run teaches: actions, words for substeps, or both. ``objective`` of a training configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from substep_core.configuration import configuration
from substep_policy.heads.fast_tokens import FastTokensConfig


@configuration
class ActionsOnly:
    """Actions, and EOS. Of a π0.5 with knowledge insulation that trains the action expert alone."""

    mode: Literal["actions"] = "actions"


@configuration
class Hierarchical:
    """Words for the next substep and actions, of a model that has both: ``text + alpha · actions``.

    Attributes:
        over_padding: the text loss is the mean over all places of a batch, padding among them, and not over each
            answer's own tokens; to compare, it weighs an answer by the longest of its batch.
    """

    mode: Literal["hierarchical"] = "hierarchical"
    alpha: float = Field(default=10.0, gt=0)
    over_padding: bool = False


@configuration
class WordsOnly:
    """Words for the next substep alone, to bring a policy to another task's plans. ``over_padding`` as above."""

    mode: Literal["words"] = "words"
    over_padding: bool = False


@configuration
class WordsAndActionTokens:
    """Words for the next substep, and actions as FAST tokens, both said by the language model; as π0.5 is pre-trained.

    The action expert is left alone: what vision and language learn so, it is taught to act on afterwards.

    Attributes:
        tokens: how actions are said.
        over_padding: as above.
    """

    mode: Literal["words_and_action_tokens"] = "words_and_action_tokens"
    tokens: FastTokensConfig = Field(kw_only=True)
    over_padding: bool = False


Mode = Annotated[ActionsOnly | Hierarchical | WordsOnly | WordsAndActionTokens, Field(discriminator="mode")]

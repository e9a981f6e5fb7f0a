"""The substep language: sentences become motions, motions become text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_core.language.motions import (
    CLOSE,
    MOTIONS,
    OPEN,
    PICK_UP,
    PLACE,
    PUSH,
    TURN_OFF,
    TURN_ON,
    Motion,
    Use,
    is_pick,
    is_place,
    kind_of,
)
from substep_core.language.nouns import NOUNS, affordances_of, can_be_reached, has_room, in_plain_nouns, names_of
from substep_core.language.phrases import PhraseError, Relation, Thing, make_place
from substep_core.language.reader import parse, read
from substep_core.language.skills import skills_from_text, skills_in, skills_to_text


def motions(sentence: str) -> list[str]:
    return [motion.text for motion in read(sentence)]


SENTENCES = {
    "put both mugs on the plate": [
        "pick up the left mug",
        "place the left mug on the plate",
        "pick up the right mug",
        "place the right mug on the plate",
    ],
    "Please put the milk into the basket.": ["pick up the milk", "place the milk in the basket"],
    "turn the stove on, then set the pan on it": [
        "turn on the stove",
        "pick up the frying pan",
        "place the frying pan on the stove",
    ],
    "switch off the burner": ["turn off the stove"],
    "put the milk, the orange juice and the butter in the basket": [
        "pick up the milk",
        "place the milk in the basket",
        "pick up the orange juice",
        "place the orange juice in the basket",
        "pick up the butter",
        "place the butter in the basket",
    ],
    "put the white mug on the left plate and the yellow and white mug on the right one": [
        "pick up the white mug",
        "place the white mug on the left plate",
        "pick up the yellow and white mug",
        "place the yellow and white mug on the right plate",
    ],
    "pick up the red mug, open the microwave and put it inside": [  # the gripper must be free to open
        "open the microwave",
        "pick up the red mug",
        "place the red mug in the microwave",
    ],
    "take the black bowl out of the top drawer of the cabinet, close the drawer and put the bowl on the plate": [
        "pick up the black bowl in the top drawer of the cabinet",
        "place the black bowl on the plate",
        "close the top drawer of the cabinet",
    ],
    "put the bowl inside the closed top drawer": [
        "open the top drawer of the cabinet",
        "pick up the bowl",
        "place the bowl in the top drawer of the cabinet",
    ],
    "open the microwave; put the red mug in it; finally shut its door": [
        "open the microwave",
        "pick up the red mug",
        "place the red mug in the microwave",
        "close the microwave",
    ],
    "transfer the black bowl from the stove to the plate": [
        "pick up the black bowl on the stove",
        "place the black bowl on the plate",
    ],
    "put the black bowl next to the ramekin on the plate": [
        "pick up the black bowl next to the ramekin",
        "place the black bowl on the plate",
    ],
    "put the black bowl on the plate next to the ramekin": [
        "pick up the black bowl",
        "place the black bowl on the plate next to the ramekin",
    ],
    "put the left moka pot on the stove and then the right one": [
        "pick up the left moka pot",
        "place the left moka pot on the stove",
        "pick up the right moka pot",
        "place the right moka pot on the stove",
    ],
    "set the white mug on the plate and the chocolate pudding to its right": [
        "pick up the white mug",
        "place the white mug on the plate",
        "pick up the chocolate pudding",
        "place the chocolate pudding to the right of the plate",
    ],
    "insert the book in the caddy's rear compartment": [
        "pick up the book",
        "place the book in the back compartment of the caddy",
    ],
    "slide the plate in front of the stove": ["push the plate to the front of the stove"],
    "close the top drawer of the cabinet and put the black bowl on top of it": [
        "close the top drawer of the cabinet",
        "pick up the black bowl",
        "place the black bowl on top of the cabinet",
    ],
    "pull open the cabinet's middle drawer": ["open the middle drawer of the cabinet"],
    "stack the left bowl on the right bowl and place them in the tray": [
        "pick up the right bowl",
        "place the bowl in the tray",
        "pick up the bowl outside the tray",
        "place the bowl on the bowl in the tray",
    ],
    "get the ketchup": ["pick up the ketchup"],
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_become_motions_in_a_workable_order(sentence):
    assert motions(sentence) == SENTENCES[sentence]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("make me happy", "does not begin with an action that the rules know"),
        ("put the bowl", "'the bowl' does not say where to put it"),
        ("put it on the plate", "'it' refers to nothing"),
        ("close it", "'it' refers to nothing"),
        ("put the stove on the plate", "the stove cannot be moved"),
        ("open the basket", "the basket has nothing to open"),
        ("turn on the plate", "the plate has nothing to turn on"),
        ("open the drawer", "'drawer' does not say which drawer"),
        ("put the mugs on the plate", "'the mugs' does not say how many"),
        ("put all mugs on the plate", "'all' (an unknown number of things) is beyond the rules"),
        ("do not touch the mug", "'not' (a negation) is beyond the rules"),
        ("put the milk in the basket or the tray", "'or' (a choice) is beyond the rules"),
        ("if the stove is on, turn it off", "'if' (a condition) is beyond the rules"),
        ("pick up the mug and the bowl", "one gripper cannot hold mug and bowl"),
        ("pick up the mug and pick up the bowl", "the mug is still held"),
        ("put the bowl on the bowl", "the bowl cannot be placed on or in itself"),
        ("push the mug and the bowl to the front of the stove", "names 2 things, expected one"),
        ("put the bowl upside down on the plate", "'bowl upside down' cannot be read as the name of a thing"),
        ("open the microwave and pick up the mug and close it", "needs a free hand"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(sentence, reason):
    with pytest.raises(PhraseError) as error:
        read(sentence)
    assert reason in str(error.value)


WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()} | {"and", ",", "of", "next", "to", "both"})


@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), st.text(max_size=80)))
def test_any_sentence_gives_motions_or_a_phrase_error(sentence):
    try:
        read(sentence)
    except PhraseError:
        return


# --- one motion, and its text ---

NAMES = sorted(name for name in NOUNS if not affordances_of(name.split()[-1]).fixed)
FIXTURES = [Thing(name) for name in NOUNS if affordances_of(name.split()[-1]).fixed]
SIDES = ("left", "right", "front", "back", "middle")
OPENABLE = [Thing("microwave")] + [Thing(f"{side} drawer of the cabinet") for side in ("top", "middle", "bottom")]
COMPARTMENTS = [Thing(f"{side} compartment of the caddy") for side in ("left", "right", "front", "back")]
plain = st.builds(Thing, st.sampled_from(NAMES), st.sampled_from(["", *SIDES]))
others = st.one_of(plain, st.sampled_from(FIXTURES + OPENABLE + COMPARTMENTS))
single_words = plain.filter(lambda thing: " and " not in thing.name)
relations = st.one_of(
    st.builds(Relation, st.sampled_from([*SIDES, "table center"])),
    st.builds(Relation, st.sampled_from(["next to", "in", "on", "outside"]), st.tuples(others)),
    st.builds(Relation, st.just("between"), st.tuples(single_words, single_words)),
)
PREPOSITIONS = ["in", "on", "on top of", "under", *(f"to the {side} of" for side in SIDES[:4])]


def _where_there_is_room(prepositions):
    pairs = st.tuples(st.sampled_from(prepositions), others)
    fitting = pairs.filter(lambda one: has_room(one[0], one[1].head) and can_be_reached(one[0], one[1].head))
    return fitting.map(lambda one: make_place(*one))


places = _where_there_is_room(PREPOSITIONS)
related = st.builds(Thing, st.sampled_from(NAMES), st.just(""), relations)
picked = st.builds(Motion, st.just(PICK_UP), plain | related)
placed = st.builds(Motion, st.just(PLACE), plain, places).filter(lambda motion: motion.thing != motion.place.thing)
beside = _where_there_is_room(PREPOSITIONS[4:])
pushed = st.builds(Motion, st.just(PUSH), plain, beside)
operated = st.builds(Motion, st.sampled_from([OPEN, CLOSE]), st.sampled_from(OPENABLE))
switched = st.builds(Motion, st.sampled_from([TURN_ON, TURN_OFF]), st.just(Thing("stove")))


@given(st.one_of(picked, placed, pushed, operated, switched))
def test_the_text_of_a_motion_is_read_as_that_motion(motion):
    assert parse(motion.text) == motion
    assert parse(motion.text).text == motion.text
    assert kind_of(motion.text) is motion.kind


def test_the_property_covers_every_motion():
    assert set(MOTIONS) == {PICK_UP, PLACE, PUSH, OPEN, CLOSE, TURN_ON, TURN_OFF}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pick up the milk.", "pick up the milk"),
        ("grab the cup", "pick up the mug"),
        ("place the bowl on the left on the plate", "place the bowl on the plate"),
        ("stack the white bowl on the bowl in the tray", "place the white bowl on the bowl in the tray"),
        ("pull open the cabinet's top drawer", "open the top drawer of the cabinet"),
        ("push the top drawer closed", "close the top drawer of the cabinet"),
    ],
)
def test_other_words_for_a_motion_are_understood(text, expected):
    assert parse(text).text == expected


@pytest.mark.parametrize("text", ["dance", "put the bowl", "", "open the microwave and take the mug"])
def test_text_that_is_no_single_motion_is_refused(text):
    with pytest.raises(PhraseError, match="does not begin with an action|does not say where|motions, expected one"):
        parse(text)


def test_what_begins_a_text_says_whether_it_picks_up_or_places():
    assert is_pick("pick up the mug") and is_pick("Grab something") and not is_pick("place the mug on the plate")
    assert is_place("stack the bowls") and is_place("drop it") and not is_place("pick up the mug")
    assert kind_of("a mug") is None


def test_every_wording_for_training_and_none_held_out_is_the_motions_own():
    for kind in MOTIONS:
        training, held_out = kind.wordings(Use.TRAINING), kind.wordings(Use.HELD_OUT)
        assert training[0].startswith(kind.name) and not set(training) & set(held_out)


def test_a_noun_means_a_category_and_synonyms_mean_nouns():
    assert names_of("chefmate_8_frypan") == ["frying pan"]
    assert in_plain_nouns("the can of alphabet soup on the hob") == "the alphabet soup on the stove"
    assert in_plain_nouns("the coffee mugs and the frying pan") == "the mugs and the frying pan"
    synonyms = [word for noun in NOUNS.values() for word in noun.synonyms]
    assert len(set(synonyms)) == len(synonyms) and not set(synonyms) & set(NOUNS)


def test_the_skills_that_substeps_ask_for_are_known_where_all_can_be_read():
    texts = ["pick up the mug", "place the mug on the plate", "wipe the table"]
    assert skills_in(texts[:2], ()) == ("pick up", "place")
    assert skills_in(texts, ("pick up", "place", "wipe")) == ("pick up", "place", "wipe")
    assert skills_in(texts, ()) == skills_in([], ()) == (), "no robot is known that wipes"
    assert skills_from_text(skills_to_text(("pick up", "place"))) == ("pick up", "place")
    assert skills_from_text(skills_to_text(())) == ()
    with pytest.raises(ValueError, match=r"skills are \['Pick up'\], expected words of small letters"):
        skills_from_text("Pick up\nplace")

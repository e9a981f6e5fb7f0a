"""A rule-based decomposer for sentences in the manner of LIBERO's instructions.

``lexicon`` holds the words, ``phrases`` reads noun phrases and places, ``sentence`` splits a sentence into clauses and
reads their verbs, ``planner`` orders them into motions, ``wording`` writes the motions as substeps.
"""

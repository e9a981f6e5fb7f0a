"""The language of substeps: one grammar and one list of nouns, in English.

``nouns`` is the table of things, ``phrases`` reads and writes noun phrases and places, ``motions`` is the table of
motions and their wordings, ``sentence`` splits a sentence into clauses, ``reader`` makes motions of them, ``effects``
says what a camera sees when a motion is done.
"""

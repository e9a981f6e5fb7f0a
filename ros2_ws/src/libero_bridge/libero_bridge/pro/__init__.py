"""LIBERO-PRO: LIBERO's four suites with objects, positions, sentences, tasks or surroundings exchanged."""

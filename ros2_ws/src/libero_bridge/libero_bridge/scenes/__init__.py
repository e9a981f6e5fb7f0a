"""The embedded scene pack: the objects, fixtures and arenas of LIBERO's 130 tasks as generated MuJoCo models."""

"""The command line: ``./substep WORDS [options]``. ``table`` has every command, ``grammar`` reads and runs one."""

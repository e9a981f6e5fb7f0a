"""Tests that cross packages: the running graph, commands, documents."""

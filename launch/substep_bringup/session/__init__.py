"""One session: starts the nodes, has one task carried out, shows and records it, shuts the nodes down."""

"""One session: brings the nodes up, has one task carried out, shows and records it, takes the nodes down."""

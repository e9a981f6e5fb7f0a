"""A kind of model with a backbone of its own: looks once, hears which of a few words were said."""

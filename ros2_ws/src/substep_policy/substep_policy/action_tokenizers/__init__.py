"""Tokenizers of action chunks: fitted to demonstrations, kept in a folder, used by heads that predict tokens."""

"""Plans by language models: prompt, constrained reply, checks, one repair, cache; and two ways to reach a model."""

"""Make the weights of ``embedded``, the audio tagger that ships with avel. Start with ``MODEL_CARD.md``."""

"""Which networks hear and see for a library, and the recipe of its features."""

from dataclasses import replace

from avel.backbones import weights
from avel.backbones.efficientnet import imagenet_classes
from avel.backbones.embedded import audioset_classes
from avel.errors import LibraryError, WeightsError
from avel.features.recipe import Recipe
from avel.library.spaces import EncoderSpace, Taggers

VISUAL_TAGGERS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
AUDIO_TAGGERS = ("yamnet", "yamnet-onnx", "embedded")
"""Best first; the last one ships with avel."""

EMBEDDING = "-embedding"
"""What the name of a tagger's embedding has behind that of its scores."""


def available_tagger() -> str:
    """The best of `AUDIO_TAGGERS` whose weights are here or can be fetched."""
    for name in AUDIO_TAGGERS[:-1]:
        try:
            weights.path(name)
        except WeightsError:
            continue
        return name
    return AUDIO_TAGGERS[-1]


def library_recipe(space: EncoderSpace | None) -> Recipe:
    """The recipe of a new library: what the cross-modal model looks at, and taggers.

    Args:
        space: a trained one; ``None`` for agreement, which looks at what the taggers say.
    """
    if space is None:
        tagger = available_tagger()
        return Recipe(visual=VISUAL_TAGGERS[:1], audio=(tagger, f"{tagger}{EMBEDDING}"))
    recipe = space.recipe
    visual, audio = recipe.visual, recipe.audio
    if not set(visual) & set(VISUAL_TAGGERS):
        visual = (*visual, VISUAL_TAGGERS[0])
    if not set(audio) & set(AUDIO_TAGGERS):
        same = [name.removesuffix(EMBEDDING) for name in audio if name.removesuffix(EMBEDDING) in AUDIO_TAGGERS]
        audio = (*audio, same[0] if same else available_tagger())
    return replace(recipe, visual=visual, audio=audio)


def taggers_of(recipe: Recipe) -> Taggers:
    """The taggers among the networks of a library's recipe.

    Raises:
        LibraryError: if it has none.
    """
    visual = next((name for name in recipe.visual if name in VISUAL_TAGGERS), None)
    audio = next((name for name in recipe.audio if name in AUDIO_TAGGERS), None)
    if visual is None or audio is None:
        raise LibraryError(
            f"A library needs one of {', '.join(VISUAL_TAGGERS)} and one of {', '.join(AUDIO_TAGGERS)}; its recipe has "
            f"{', '.join((*recipe.visual, *recipe.audio))}. Make a new one with `avel index`."
        )
    return Taggers(visual, audio, imagenet_classes(), audioset_classes())

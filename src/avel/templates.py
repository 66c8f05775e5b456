"""Pages made of Jinja's templates, below everything that writes one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def page_templates(package: str) -> "jinja2.Environment":
    """The templates of a package's folder ``templates``, into which text is filled in, never markup.

    What a template names and nobody gives is an error.

    Args:
        package: such as ``avel.outputs``.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

"""How do the page's pictures become small? 128 colours are enough for a page, and a quarter of the bytes.

Runs in the environment that draws plots, and so imports nothing of the project.
"""

from pathlib import Path

_DIRECTORY = Path(__file__).resolve().parents[2] / "docs"
_COLOURS = 128


def picture(scheme: str) -> Path:
    """Return where the picture of a colour scheme is."""
    return _DIRECTORY / f"page-{scheme}.png"


def main() -> None:
    """Rewrite both pictures."""
    from PIL import Image

    for scheme in ("light", "dark"):
        with Image.open(picture(scheme)) as image:
            small = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        small.save(picture(scheme), optimize=True)


if __name__ == "__main__":
    main()

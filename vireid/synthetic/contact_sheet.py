"""Contact sheet of a synthetic dataset: a row for each identity with its attributes, a column for each camera."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vireid.synthetic.people import Attributes
from vireid.synthetic.write import Recipe

LABEL_WIDTH, HEADER, GAP, COLORS = 112, 34, 3, 160
PAPER, INK, FAINT = (250, 250, 248), (30, 30, 30), (120, 120, 120)


def describe(attributes: Attributes) -> list[str]:
    """Return the attributes in words, one per line."""
    look = attributes
    lower = ("long " if look.long_lower else "short ") + ("skirt" if look.skirt else "trousers")
    lines = [
        "female" if look.female else "male",
        "long hair" if look.long_hair else "short hair",
        "long sleeves" if look.long_sleeve else "short sleeves",
        lower,
    ]
    return lines + [
        word for word, on in (("glasses", look.glasses), ("backpack", look.backpack), ("satchel", look.satchel)) if on
    ]


def contact_sheet(recipe: Recipe, *, identities: int = 6, images: int = 2, height: int = 128) -> Image.Image:
    """Draw the test identities with the most cameras, with `images` images in each camera; needs no folder."""
    world, people = recipe.world(), recipe.people()
    numbers = sorted(people.test, key=lambda number: -len(people.cameras[number]))[:identities]
    images, width = min(images, recipe.images), round(height * recipe.size[1] / recipe.size[0])
    column = images * width + GAP
    sheet = Image.new("RGB", (LABEL_WIDTH + column * len(world.cameras), HEADER + len(numbers) * (height + GAP)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for k, camera in enumerate(world.cameras):
        kind = "infrared" if world.cameras[camera].infrared else "visible"
        place = "indoor" if world.cameras[camera].indoor else "outdoor"
        pen.text(
            (LABEL_WIDTH + k * column + 2, 3),
            f"camera {world.cameras[camera].number}\n{kind}, {place}",
            fill=INK,
            font=font,
            spacing=1,
        )
    for row, number in enumerate(numbers):
        top = HEADER + row * (height + GAP)
        pen.text((6, top + 2), f"identity {number}", fill=INK, font=font)
        pen.text((6, top + 18), "\n".join(describe(world.person(number).attributes)), fill=FAINT, font=font, spacing=2)
        for k, camera in enumerate(world.cameras):
            left = LABEL_WIDTH + k * column
            if camera not in people.cameras[number]:
                pen.text((left + 4, top + height // 2 - 6), "no images", fill=FAINT, font=font)
                continue
            for shot in range(images):
                picture = Image.fromarray(world.photograph(number, camera, shot))
                sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (left + shot * width, top))
    return sheet


def draw_contact_sheet(recipe: Recipe, path: Path) -> None:
    """Write the sheet as an image with few colors, so that the file stays small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(recipe)
    sheet.quantize(COLORS, kmeans=1).save(path, optimize=True)

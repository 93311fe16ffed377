"""Section of the report of a run: ranked lists of one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vireid.core.labels import with_name
from vireid.runs.results import Lists
from vireid.visualize.ranked import RankedQuery
from vireid.visualize.rendering import PageImage
from vireid.visualize.tiles import Photographs, Verdict, data_uri, framed


@dataclass(frozen=True)
class MatchItem:
    """A gallery image in a ranked list."""

    image: PageImage
    identity: int
    camera: str
    score: float
    correct: bool


@dataclass(frozen=True)
class QueryItem:
    """A query with its ranked list."""

    image: PageImage
    identity: int
    camera: str
    sentence: str
    matches: Sequence[MatchItem]


@dataclass(frozen=True)
class RankedSection:
    """Ranked lists of one protocol."""

    title: str
    query: str  # modality
    gallery: str
    trial: str
    left_out: int  # queries without a correct match in the saved lists
    queries: Sequence[QueryItem]


def ranked_section(
    lists: Lists, title: str, modalities: tuple[str, str], queries: Sequence[RankedQuery], photographs: Photographs
) -> RankedSection:
    """Ranked lists of one protocol.

    Args:
        lists: Its saved lists.
        title: Title of its result.
        modalities: Of queries and gallery.
        queries: The queries that are shown.
        photographs: Reads the images.
    """
    query, gallery = modalities
    return RankedSection(
        title=title,
        query=query,
        gallery=gallery,
        trial=lists.trial,
        left_out=int((~lists.answerable()).sum()),
        queries=[_query_item(item, query, gallery, photographs, lists.camera_names) for item in queries],
    )


def _query_item(
    item: RankedQuery, query: str, gallery: str, photographs: Photographs, camera_names: Mapping[int, str]
) -> QueryItem:
    camera = with_name(item.camera, camera_names)
    image = data_uri(framed(photographs(item.path), Verdict.QUERY))
    matches = []
    for rank, ranked in enumerate(item.images, 1):
        correct, gallery_camera = ranked.verdict is Verdict.CORRECT, with_name(ranked.camera, camera_names)
        alt = (
            f"Rank {rank}, {'correct' if correct else 'incorrect'} match: identity {ranked.identity}, {gallery} "
            f"camera {gallery_camera}"
        )
        uri = data_uri(framed(photographs(ranked.path), ranked.verdict))
        matches.append(MatchItem(PageImage(uri, alt), ranked.identity, gallery_camera, ranked.score, correct))
    alt = f"Query: identity {item.identity}, {query} camera {camera}"
    return QueryItem(PageImage(image, alt), item.identity, camera, item.sentence(), matches)

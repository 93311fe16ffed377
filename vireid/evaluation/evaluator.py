"""Evaluate a table of embeddings by a protocol: one similarity matrix, trials as row selections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from vireid.core.errors import UserError
from vireid.core.interfaces import ConditionsOnTable, GalleryIndex, RemarksOnTable, Reranker
from vireid.core.labels import int64_array
from vireid.core.types import EmbeddingTable, Modality, Sample, Trial
from vireid.evaluation.coverage import ProtocolCoverage, require_counted, trial_coverage
from vireid.evaluation.indexed import IndexedSimilarity
from vireid.evaluation.open_set.evaluation import OpenSet
from vireid.evaluation.open_set.heldout import HeldoutSearches, heldout_searches
from vireid.evaluation.open_set.report import OpenSetReport
from vireid.evaluation.report import MeasuredQueries, Report
from vireid.retrieval.metrics import Cmc, measure_queries, summarize
from vireid.retrieval.ranking import NO_IMAGE, Ranking, rank_rows


class MeasuredProtocol(Protocol):
    """The interface of a protocol that an evaluator needs."""

    metric: Cmc

    @property
    def conditions(self) -> Mapping[str, str | int]:
        """Conditions printed with every number: protocol, direction, mode, shots, trials."""
        ...

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the rows that are queries in any trial."""
        ...

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the rows that are in the gallery of any trial."""
        ...

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        """Yield the trials."""
        ...


@dataclass(frozen=True)
class RankedLists:
    """The ranked lists of one trial, for display. All numbers are rows of the table."""

    queries: np.ndarray  # (Q,)
    ranking: Ranking  # (Q, K), ids are rows of the table
    correct: np.ndarray  # (Q, K) bool: same identity; False where the ranking has -1


class Evaluator:
    """Evaluate a table of embeddings by a protocol.

    Args:
        protocol: Evaluation protocol.
        similarity: (Q, D), (G, D) float32 rows -> (Q, G), larger is closer (`vireid.retrieval.Similarity`).
        rerank: Re-ranking that replaces the similarities. It runs for each trial separately, because its result depends
            on the complete gallery.
        index: Factory of empty indexes. One is filled with the gallery of each trial and searched for all images.
            Images that an approximate index does not return are last, and the report states its recall@10 against
            `similarity`.
        open_set: Open-set evaluation of the same protocol (`open_set_report`).
        ranks: Ranks to print; the CMC curve reaches the largest.

    Raises:
        UserError: If both `rerank` and `index` are set, or one of them with `open_set`.
    """

    def __init__(
        self,
        protocol: MeasuredProtocol,
        *,
        similarity: Callable[[np.ndarray, np.ndarray], np.ndarray],
        rerank: Reranker | None = None,
        index: Callable[[], GalleryIndex] | None = None,
        open_set: OpenSet | None = None,
        ranks: Sequence[int] = (1, 5, 10, 20),
    ) -> None:
        if rerank is not None and index is not None:
            raise UserError(
                "an evaluation is either re-ranked or searched by an index, because re-ranking needs all similarities:"
                " remove RERANKING or INDEX"
            )
        if open_set is not None and rerank is not None:
            raise UserError(
                "re-ranked scores depend on the other queries, so that a threshold does not carry over: remove"
                " RERANKING or OPEN_SET"
            )
        if open_set is not None and index is not None:
            raise UserError(
                "an index may miss images, which lowers FPIR and raises FNIR silently: remove INDEX or OPEN_SET"
            )
        self.protocol, self.similarity, self.rerank, self.index = protocol, similarity, rerank, index
        self.open_set = open_set
        self.ranks = tuple(ranks)

    def __call__(self, table: EmbeddingTable) -> Report:
        """Evaluate all trials."""
        indexed = None if self.index is None else IndexedSimilarity(self.index, exact=self.similarity)
        scores = self._plain(table) if self.rerank is None and indexed is None else self._of_trial(table, indexed)
        measured = {trial.name: self._measure(scores(trial), trial, table) for trial in self.protocol.trials(table)}
        trials = {name: summarize(each.scores, self.ranks) for name, each in measured.items()}
        search = {} if self.rerank is None else rerank_conditions(self.rerank)
        search |= {} if indexed is None else {"search": indexed.description}
        protocol = self.protocol
        stated = protocol.conditions_on(table) if isinstance(protocol, ConditionsOnTable) else protocol.conditions
        conditions = {**stated, **table.conditions, **search}
        return Report(conditions=conditions, trials=trials, queries=measured)

    def open_set_report(self, table: EmbeddingTable, heldout: EmbeddingTable | None = None) -> OpenSetReport:
        """Evaluate verification and open-set identification.

        Args:
            table: Embeddings of the test images.
            heldout: Embeddings of held-out identities; needed if `open_set.needs_heldout`.

        Raises:
            DataError: If there are no mated or no non-mated searches.
        """
        assert self.open_set is not None, "the evaluator has no open-set evaluation"
        trials = list(self.protocol.trials(table))
        searches = None
        if self.open_set.needs_heldout:
            if heldout is None:
                raise UserError("an open-set threshold needs embeddings of held-out identities")
            enrolled = self.open_set.enrolled_of(len(np.unique(table.labels[trials[0].gallery])))
            trial = next(iter(self.protocol.trials(heldout)))
            most = len(np.unique(heldout.labels[trial.gallery])) - 1
            searches = self.heldout_searches(heldout, enrolled=max(1, min(enrolled, most)))
        return self.open_set(trials, self._plain(table), table, searches)

    def heldout_searches(self, heldout: EmbeddingTable, *, enrolled: int | None = None) -> HeldoutSearches:
        """Search with held-out identities in the first trial of the protocol.

        Args:
            heldout: Embeddings of the held-out identities.
            enrolled: Number of identities in the gallery of a search; None: half of the held-out identities.

        Raises:
            DataError: If there are fewer than two identities in the gallery.
            ArgumentError: If `enrolled` is not below the number of held-out identities.
        """
        trial = next(iter(self.protocol.trials(heldout)))
        return heldout_searches(
            self._plain(heldout)(trial),
            heldout.labels[trial.query],
            heldout.labels[trial.gallery],
            trial.junk(trial.query, trial.gallery),
            enrolled=enrolled,
            fusion="max" if self.open_set is None else self.open_set.fusion,
            seed=0 if self.open_set is None else self.open_set.seed,
        )

    def validate(self, samples: Sequence[Sample], camera_names: Mapping[int, str] | None = None) -> ProtocolCoverage:
        """Draw all trials without embeddings, to report before training what the protocol misses in the data.

        Returns:
            The number of queries of each trial, and of those with a correct gallery image that is not ignored.

        Raises:
            DataError: If no query of a trial has a correct gallery image that is not ignored, with the reason; errors
                of the protocol, such as cameras without images.
        """
        labels, cameras, modality = (
            int64_array((getattr(sample, name) for sample in samples), name)
            for name in ("identity", "camera", "modality")
        )
        features = np.zeros((len(samples), 0), np.float32)
        table = EmbeddingTable(features, labels, cameras, modality, samples=samples, camera_names=camera_names or {})
        coverage = []
        for trial in self.protocol.trials(table):
            coverage.append(trial_coverage(trial, table))
            require_counted(coverage[-1], table)
        if self.open_set is not None:
            self.open_set.validate(self.protocol.trials(table), labels)
        remarks = self.protocol.remarks_on(table) if isinstance(self.protocol, RemarksOnTable) else ()
        return ProtocolCoverage(tuple(coverage), tuple(remarks))

    def ranking(self, table: EmbeddingTable, trial: int = 0, k: int = 10) -> RankedLists:
        """Return the k nearest gallery images of each query in one trial; equal scores in the order of its gallery.

        Raises:
            UserError: If the protocol does not have this trial.
        """
        chosen = next(islice(self.protocol.trials(table), trial, None), None)
        if chosen is None:
            raise UserError(
                f"trial {trial} does not exist: the protocol has {self.protocol.conditions['trials']} trials, from 0 on"
            )
        indexed = None if self.index is None else IndexedSimilarity(self.index, exact=self.similarity)
        scores = (self.rerank or indexed or self.similarity)(*self._sides(chosen, table))
        ranking = rank_rows(scores, junk=chosen.junk(chosen.query, chosen.gallery), k=k).mapped(chosen.gallery)
        same = table.labels[ranking.ids.clip(min=0)] == table.labels[chosen.query][:, None]
        return RankedLists(chosen.query, ranking, same & (ranking.ids != NO_IMAGE))

    def _plain(self, table: EmbeddingTable) -> Callable[[Trial], np.ndarray]:
        """Compute one similarity matrix, from which each trial selects rows and columns."""
        query, gallery = self.protocol.query_rows(table), self.protocol.gallery_rows(table)
        return _Selection(query, gallery, self.similarity(table.embeddings[query], table.embeddings[gallery])).of

    def _of_trial(self, table: EmbeddingTable, indexed: IndexedSimilarity | None) -> Callable[[Trial], np.ndarray]:
        """Compute a matrix for each trial, by a method that needs the gallery of the trial alone."""
        score = self.rerank or indexed
        assert score is not None
        return lambda trial: score(*self._sides(trial, table))

    @property
    def channel_views(self) -> bool:
        """Whether the re-ranking compares embeddings of single channels (`EmbeddingTable.channel_views`)."""
        return getattr(self.rerank, "channel_views", False)

    def _sides(self, trial: Trial, table: EmbeddingTable) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the queries and of the gallery of a trial, with those of single channels if they are used."""
        query, gallery = (_side(table, rows, self.channel_views) for rows in (trial.query, trial.gallery))
        return query, gallery

    def _measure(self, scores: np.ndarray, trial: Trial, table: EmbeddingTable) -> MeasuredQueries:
        scores_of_queries = measure_queries(
            scores,
            table.labels[trial.query],
            table.labels[trial.gallery],
            junk=lambda rows: trial.junk(trial.query[rows], trial.gallery),
            cmc=self.protocol.metric,
            larger_is_closer=True,
        )
        return MeasuredQueries(trial.query, scores_of_queries)


def rerank_conditions(rerank: Reranker) -> dict[str, str]:
    """Conditions of re-ranked results: the re-ranking, and what the result of a query uses (transductive inference).

    Also the data on which the arguments of the re-ranking were chosen, where it states them.
    """
    uses = getattr(rerank, "transductive", "the gallery and the other queries")
    conditions = {"re_ranking": rerank.description, "transductive": f"uses {uses}"}
    chosen_on = getattr(rerank, "chosen_on", "")
    return conditions | ({"re_ranking_values": f"chosen on {chosen_on}"} if chosen_on else {})


def _side(table: EmbeddingTable, rows: np.ndarray, channel_views: bool) -> np.ndarray:
    """Embeddings of rows, (N, D); of visible images with `channel_views` (4, N, D)."""
    visible = table.modality[rows] == Modality.VISIBLE
    if not (channel_views and visible.any()):
        return table.embeddings[rows]
    if not visible.all():
        raise UserError(
            "RERANKING with single channels of visible images needs queries and a gallery of one modality each; this"
            " protocol mixes the modalities: remove RERANKING or choose a protocol with a DIRECTION"
        )
    if table.channel_views is None:
        raise UserError(
            "RERANKING needs embeddings of the single channels of visible images, and these embeddings have none:"
            " evaluate the run with tools/train_net.py --eval-only, or remove RERANKING"
        )
    return np.concatenate([table.embeddings[None, rows], table.channel_views[:, rows]])


class _Selection:
    """The similarity matrix of all queries and gallery images, and its selection by a trial."""

    def __init__(self, query: np.ndarray, gallery: np.ndarray, scores: np.ndarray) -> None:
        assert scores.shape == (len(query), len(gallery))
        self.query, self.gallery, self.scores = query, gallery, scores

    def of(self, trial: Trial) -> np.ndarray:
        columns = self.scores.take(_positions(self.gallery, trial.gallery), axis=1)
        return columns if np.array_equal(self.query, trial.query) else columns[_positions(self.query, trial.query)]


def _positions(rows: np.ndarray, selected: np.ndarray) -> np.ndarray:
    order = np.argsort(rows)
    positions = order[np.searchsorted(rows, selected, sorter=order).clip(max=len(rows) - 1)]
    assert np.array_equal(rows[positions], selected), (
        "a trial names rows outside the protocol's query_rows or gallery_rows"
    )
    return positions

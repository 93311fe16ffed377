"""A protocol applied to a table of features: one score matrix, trials as row selections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from vireid.core.errors import UserError
from vireid.core.interfaces import ConditionsOnTable, GalleryIndex, RemarksOnTable, Reranker
from vireid.core.labels import int64_array
from vireid.core.types import EmbeddingTable, Sample, Trial
from vireid.evaluation.coverage import ProtocolCoverage, require_counted, trial_coverage
from vireid.evaluation.indexed import IndexedScorer
from vireid.evaluation.report import MeasuredQueries, Report
from vireid.retrieval.metrics import Cmc, measure_queries, summarize
from vireid.retrieval.ranking import NO_IMAGE, Ranking, rank_rows


class MeasuredProtocol(Protocol):
    """What an evaluator asks of a protocol."""

    metric: Cmc

    @property
    def conditions(self) -> Mapping[str, str | int]:
        """What a number must be printed with: protocol, direction, mode, shots, trials."""
        ...

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Rows that ask in any trial."""
        ...

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Rows that answer in any trial."""
        ...

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]: ...


@dataclass(frozen=True)
class RankedLists:
    """The answers of one trial, for people to look at. All numbers are rows of the table."""

    queries: np.ndarray  # (Q,)
    ranking: Ranking  # (Q, K), ids are rows of the table
    correct: np.ndarray  # (Q, K) bool: same identity; False where the ranking has -1


class Evaluator:
    """Measures a table of features by a protocol.

    `score`: (Q, D), (G, D) float32 unit rows -> (Q, G) similarities, larger is closer (`TorchScorer`, `FaissScorer`).
    `rerank`: replaces the dot products, for each trial by itself, since its answers depend on the whole gallery.
    `index`: makes empty indexes; one is filled with each trial's gallery and asked for all of it. An approximate one
    misses images: those stand last, and the report states the recall of its first 10 answers against `score`.
    `ranks`: the ranks that are printed; the CMC curve reaches the largest.
    """

    def __init__(
        self,
        protocol: MeasuredProtocol,
        *,
        score: Callable[[np.ndarray, np.ndarray], np.ndarray],
        rerank: Reranker | None = None,
        index: Callable[[], GalleryIndex] | None = None,
        ranks: Sequence[int] = (1, 5, 10, 20),
    ) -> None:
        if rerank is not None and index is not None:
            raise UserError("a row is either re-ranked or searched by an index: re-ranking needs all similarities")
        self.protocol, self.score, self.rerank, self.index = protocol, score, rerank, index
        self.ranks = tuple(ranks)

    def __call__(self, table: EmbeddingTable) -> Report:
        indexed = None if self.index is None else IndexedScorer(self.index, exact=self.score)
        scores = self._plain(table) if self.rerank is None and indexed is None else self._of_trial(table, indexed)
        found = {trial.name: self._measure(scores(trial), trial, table) for trial in self.protocol.trials(table)}
        trials = {name: summarize(each.scores, self.ranks) for name, each in found.items()}
        own = {} if self.rerank is None else {"re_ranking": self.rerank.description}
        own |= {} if indexed is None else {"search": indexed.description}
        protocol = self.protocol
        stated = protocol.conditions_on(table) if isinstance(protocol, ConditionsOnTable) else protocol.conditions
        conditions = {**stated, **table.conditions, **own}
        return Report(conditions=conditions, trials=trials, queries=found)

    def validate(self, samples: Sequence[Sample], camera_names: Mapping[int, str] | None = None) -> ProtocolCoverage:
        """Draw all trials without features, so that what the protocol misses in the data is reported before training.

        Returns the number of queries of each trial and of those that have a correct gallery image that counts.
        Errors: the protocol's own, such as `DataError` for cameras without images; `DataError` with the reason where no
        query of a trial has a correct gallery image that counts.
        """
        labels, cameras, modality = (
            int64_array((getattr(sample, name) for sample in samples), name)
            for name in ("identity", "camera", "modality")
        )
        features = np.zeros((len(samples), 0), np.float32)
        table = EmbeddingTable(features, labels, cameras, modality, samples=samples, camera_names=camera_names or {})
        found = []
        for trial in self.protocol.trials(table):
            found.append(trial_coverage(trial, table))
            require_counted(found[-1], table)
        remarks = self.protocol.remarks_on(table) if isinstance(self.protocol, RemarksOnTable) else ()
        return ProtocolCoverage(tuple(found), tuple(remarks))

    def ranking(self, table: EmbeddingTable, trial: int = 0, k: int = 10) -> RankedLists:
        """The first k answers to each query of one trial; equal scores in the order of the trial's gallery."""
        chosen = next(islice(self.protocol.trials(table), trial, None), None)
        if chosen is None:
            raise UserError(
                f"there is no trial {trial}: the protocol has {self.protocol.conditions['trials']}, from 0 on"
            )
        indexed = None if self.index is None else IndexedScorer(self.index, exact=self.score)
        scores = (self.rerank or indexed or self.score)(
            table.embeddings[chosen.query], table.embeddings[chosen.gallery]
        )
        ranking = rank_rows(scores, junk=chosen.junk(chosen.query, chosen.gallery), k=k).mapped(chosen.gallery)
        same = table.labels[ranking.ids.clip(min=0)] == table.labels[chosen.query][:, None]
        return RankedLists(chosen.query, ranking, same & (ranking.ids != NO_IMAGE))

    def _plain(self, table: EmbeddingTable) -> Callable[[Trial], np.ndarray]:
        """One matrix of dot products, of which each trial looks at a part."""
        query, gallery = self.protocol.query_rows(table), self.protocol.gallery_rows(table)
        return _Selection(query, gallery, self.score(table.embeddings[query], table.embeddings[gallery])).of

    def _of_trial(self, table: EmbeddingTable, indexed: IndexedScorer | None) -> Callable[[Trial], np.ndarray]:
        """A matrix for each trial, by what sees its gallery alone."""
        score = self.rerank or indexed
        assert score is not None
        return lambda trial: score(table.embeddings[trial.query], table.embeddings[trial.gallery])

    def _measure(self, scores: np.ndarray, trial: Trial, table: EmbeddingTable) -> MeasuredQueries:
        found = measure_queries(
            scores,
            table.labels[trial.query],
            table.labels[trial.gallery],
            junk=lambda rows: trial.junk(trial.query[rows], trial.gallery),
            cmc=self.protocol.metric,
            larger_is_closer=True,
        )
        return MeasuredQueries(trial.query, found)


class _Selection:
    """The one score matrix, and the part of it that a trial looks at."""

    def __init__(self, query: np.ndarray, gallery: np.ndarray, scores: np.ndarray) -> None:
        assert scores.shape == (len(query), len(gallery))
        self.query, self.gallery, self.scores = query, gallery, scores

    def of(self, trial: Trial) -> np.ndarray:
        columns = self.scores.take(_positions(self.gallery, trial.gallery), axis=1)
        return columns if np.array_equal(self.query, trial.query) else columns[_positions(self.query, trial.query)]


def _positions(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(rows)
    found = order[np.searchsorted(rows, wanted, sorter=order).clip(max=len(rows) - 1)]
    assert np.array_equal(rows[found], wanted), "a trial names rows outside the protocol's query_rows or gallery_rows"
    return found

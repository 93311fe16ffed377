"""Plots of verification and open-set identification: ROC, DET and reliability."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtri

from vireid.evaluation.open_set.report import OpenSetReport
from vireid.visualize.drawing import LIGHT, Form, Theme, figure_of, legend, look, save

RATES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)  # ticks of the normal-deviate axes
Reports = Mapping[str, OpenSetReport]


def roc_curves(reports: Reports, theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Plot the true match rate of verification against the false match rate (log scale)."""
    with figure_of(theme, height=3.8) as (figure, (axes,)):
        for number, (name, report) in enumerate(reports.items()):
            fmr, tmr = np.array(report.curves["fmr"]), 1 - np.array(report.curves["fnmr"])
            seen = fmr > 0
            axes.plot(100 * fmr[seen], 100 * tmr[seen], label=_named(name, "verification"), **look(theme, number))
        axes.set_xscale("log")
        axes.set_ylim(0, 102)
        axes.set_xlabel("false match rate (%, log scale)")
        axes.set_ylabel("true match rate (%)")
        axes.set_title("ROC of verification: a query and one gallery image", loc="left")
        _plain_x(axes)
        legend(figure, axes)
        return save(figure, theme, form)


def det_curves(reports: Reports, theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Plot FNMR against FMR, and FNIR at rank 1 against FPIR, on normal-deviate axes.

    Rates are cut to [1 / 2n, 1 - 1 / 2n] for n searches or comparisons, which have no finite place otherwise. A ring
    marks each measured threshold, at its mean over the enrollments.
    """
    with figure_of(theme, height=4.6) as (figure, (axes,)):
        for number, (name, report) in enumerate(reports.items()):
            found, two = report.searches, report.verification
            color = look(theme, number)["color"]
            axes.plot(
                _deviate(report.curves["fmr"], two.non_mated),
                _deviate(report.curves["fnmr"], two.mated),
                color=color,
                label=_named(name, "FNMR and FMR"),
            )
            axes.plot(
                _deviate(report.curves["fpir"], found.non_mated),
                _deviate(report.curves["fnir"], found.mated),
                color=color,
                linestyle="--",
                label=_named(name, "FNIR and FPIR"),
            )
            axes.plot(
                _deviate([one.fpir.mean for one in report.rates], found.non_mated),
                _deviate([next(iter(one.fnir.values())).mean for one in report.rates], found.mated),
                "o",
                color=color,
                markerfacecolor="none",
                markersize=9,
                markeredgewidth=1.6,
            )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ndtri(RATES), [f"{100 * rate:g}" for rate in RATES])
        limits = ndtri([0.0005, 0.995])
        axes.set_xlim(*limits)
        axes.set_ylim(*limits)
        axes.set_xlabel("FMR or FPIR (%, normal deviate)")
        axes.set_ylabel("FNMR or FNIR (%, normal deviate)")
        axes.set_title("DET of verification and of identification", loc="left")
        legend(figure, axes, columns=2)
        return save(figure, theme, form)


def reliability_curves(reports: Reports, theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Plot the observed share of the same identity against the calibrated probability, and the number of comparisons.

    Bins without comparisons have no point.
    """
    calibrated = {name: report.calibration for name, report in reports.items() if report.calibration is not None}
    with figure_of(theme, height=4.8, panels=(3.0, 1.0)) as (figure, (axes, counts)):
        axes.plot([0, 1], [0, 1], color=theme.ink, linewidth=1.0, linestyle=":", label="equal")
        for number, (name, quality) in enumerate(calibrated.items()):
            some = np.array(quality.count) > 0
            confidence, accuracy = np.array(quality.confidence)[some], np.array(quality.accuracy)[some]
            style = look(theme, number)
            axes.plot(confidence, accuracy, marker="o", markersize=5, label=name or "test", **style)
            edges = np.linspace(0, 1, len(quality.count) + 1)
            counts.stairs(np.array(quality.count, float), edges, color=style["color"], linewidth=1.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of one identity")
        axes.set_title("Reliability of calibrated probabilities", loc="left")
        counts.set_yscale("symlog")
        largest = max(max(quality.count) for quality in calibrated.values())
        ticks = [0, *(100**power for power in range(1 + int(np.log10(largest)) // 2))]
        counts.set_yticks(ticks, [str(tick) for tick in ticks])
        counts.set_ylim(bottom=0)
        counts.set_ylabel("comparisons")
        counts.set_xlabel("calibrated probability of one identity")
        figure.align_ylabels()
        legend(figure, axes)
        return save(figure, theme, form)


def _named(name: str, what: str) -> str:
    return f"{name}: {what}" if name else what


def _deviate(rates: object, number: float) -> np.ndarray:
    """Normal deviates of rates of `number` trials."""
    least = 1 / (2 * max(number, 1.0))
    return ndtri(np.clip(np.asarray(rates, np.float64), least, 1 - least))


def _plain_x(axes) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))

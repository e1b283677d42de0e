"""What restarts gain: sentences on made-up runs."""

from dataclasses import replace

import pytest

from landscape_study.landscapes.statistics.restarts import ONE_SEED, End, Run, anytime_sentences
from landscape_study.landscapes.statistics.units import Units
from landscape_study.study.spec.metric import Metric


def run(title, *ends, pair="adamw", schedule="cosine", seeds=3) -> Run:
    """A run from (epoch, error[, standard error])."""
    restarts = title.endswith("R")
    return Run(title, pair, schedule, restarts, seeds, tuple(End(*end) for end in ends))


ADAMW = run("AdamW", (700, 3.92, 0.03))


@pytest.mark.parametrize(
    ("restarts", "sentence"),
    [
        pytest.param(
            run("AdamWR", (100, 5.0, 0.04), (300, 3.7, 0.04), (700, 3.5, 0.1)),
            "AdamWR reaches the 3.92 ± 0.03 % of AdamW at epoch 300 of 700, 2.3 times earlier "
            "(3.70 ± 0.04 %: 0.22 ± 0.05 points below).",
            id="earlier",
        ),
        pytest.param(
            run("AdamWR", (100, 5.0, 0.04), (300, 3.9, 0.04)),
            "AdamWR reaches the 3.92 ± 0.03 % of AdamW at epoch 300 of 700, 2.3 times earlier "
            "(3.90 ± 0.04 %: no clear difference).",
            id="within noise",
        ),
        pytest.param(
            run("AdamWR", (700, 3.7, 0.04)),
            "AdamWR reaches the 3.92 ± 0.03 % of AdamW at epoch 700 of 700, where both end "
            "(3.70 ± 0.04 %: 0.22 ± 0.05 points below).",
            id="at the end",
        ),
        pytest.param(
            run("AdamWR", (300, 4.7, 0.04), (1400, 3.7, 0.04)),
            "AdamWR reaches the 3.92 ± 0.03 % of AdamW at epoch 1400 of 700, 2.0 times later "
            "(3.70 ± 0.04 %: 0.22 ± 0.05 points below).",
            id="later",
        ),
        pytest.param(
            run("AdamWR", (300, 4.2, 0.04), (700, 4.5, 0.04)),
            "AdamWR never reaches the 3.92 ± 0.03 % of AdamW at epoch 700: its best cycle ends at "
            "epoch 300 with 4.20 ± 0.04 %, 0.28 ± 0.05 points above.",
            id="never",
        ),
        pytest.param(
            run("AdamWR", (700, 3.95, 0.04)),
            "AdamWR does not quite reach the 3.92 ± 0.03 % of AdamW at epoch 700: its best cycle "
            "ends at epoch 700 with 3.95 ± 0.04 %, no clear difference.",
            id="never, within noise",
        ),
    ],
)
def test_when_the_rival_is_reached(restarts: Run, sentence: str):
    assert anytime_sentences([ADAMW, restarts]) == (sentence,)


def test_one_seed_is_said_to_be_so():
    runs = [run("AdamW", (7, 3.92), seeds=1), run("AdamWR", (3, 3.5), (7, 3.0), seeds=1)]
    assert anytime_sentences(runs) == (
        "AdamWR reaches the 3.92 % of AdamW at epoch 3 of 7, 2.3 times earlier "
        "(3.50 %: 0.42 points below).",
        ONE_SEED,
    )


def test_runs_of_other_budgets_are_held_against_the_cycle_that_ends_with_them():
    runs = [
        run("AdamWR", (20, 5.0, 0.03), (60, 4.0, 0.03), (140, 3.0, 0.03)),
        run("AdamW", (140, 3.5, 0.04)),
        run("AdamW, 60", (60, 3.98, 0.04)),
        run("AdamW, 20", (20, 4.0, 0.04)),
        run("AdamW, 50", (50, 1.0, 0.04)),
        run("SGDW", (140, 1.0, 0.04), pair="sgdw"),
    ]
    assert anytime_sentences(runs) == (
        "AdamWR reaches the 3.50 ± 0.04 % of AdamW at epoch 140 of 140, where both end "
        "(3.00 ± 0.03 %: 0.50 ± 0.05 points below).",
        "AdamWR against AdamW trained just as long: "
        "epoch 20 5.00 ± 0.03 % against 4.00 ± 0.04 % (1.00 ± 0.05 points above); "
        "epoch 60 4.00 ± 0.03 % against 3.98 ± 0.04 % (no clear difference); "
        "epoch 140 3.00 ± 0.03 % against 3.50 ± 0.04 % (0.50 ± 0.05 points below).",
    )


def test_when_the_rival_first_has_what_restarts_offer_on_the_way():
    restarts = run("AdamWR", (1, 4.5, 0.1), (3, 4.0, 0.1), (7, 2.9, 0.1))
    rival = replace(run("AdamW", (7, 3.0, 0.1)), curve=(6.0, 5.0, 4.5, 4.2, 4.3, 3.5, 3.0))
    assert anytime_sentences([restarts, rival])[0] == (
        "What AdamWR has at epoch 1 (4.50 %) and 3 (4.00 %), AdamW first has at epoch 3 and "
        "epoch 6: 3.0 and 2.0 times as late."
    )
    better = replace(restarts, ends=(End(3, 2.5, 0.1), End(7, 2.4, 0.1)))
    assert anytime_sentences([better, rival])[0] == (
        "What AdamWR has at epoch 3 (2.50 %), AdamW first has at no epoch."
    )


def test_each_schedule_is_a_rival_of_its_own():
    runs = [
        run("AdamWR", (100, 4.0, 0.0)),
        run("AdamW", (100, 5.0, 0.0)),
        run("AdamW, constant", (100, 6.0, 0.0), schedule="constant"),
        run("AdamW, 30", (30, 2.0, 0.0)),
    ]
    starts = [sentence[:45] for sentence in anytime_sentences(runs)]
    assert starts == [
        "AdamWR reaches the 5.00 ± 0.00 % of AdamW at ",
        "AdamWR against AdamW trained just as long: ep",
        "AdamWR reaches the 6.00 ± 0.00 % of AdamW, co",
    ]


def test_without_restarts_or_without_a_rival_there_is_nothing_to_say():
    assert anytime_sentences([]) == ()
    assert anytime_sentences([ADAMW]) == ()
    assert anytime_sentences([run("SGDWR", (9, 3.0), pair="sgdw"), ADAMW]) == ()


def test_of_a_metric_of_which_more_is_better():
    units = Units(Metric("accuracy", "accuracy", goal="maximize"), matters=0.0025)
    restarts = replace(run("AdamWR", (1, 0.955), (3, 0.96), (7, 0.971)), units=units)
    curve = (0.94, 0.95, 0.955, 0.958, 0.957, 0.965, 0.97)
    rival = replace(run("AdamW", (7, 0.97)), curve=curve, units=units)
    assert anytime_sentences([restarts, rival]) == (
        "What AdamWR has at epoch 1 (0.9550) and 3 (0.9600), AdamW first has at epoch 3 and "
        "epoch 6: 3.0 and 2.0 times as late.",
        "AdamWR reaches the 0.9700 of AdamW at epoch 7 of 7, where both end "
        "(0.9710: 0.0010 above).",
    )
    worse = replace(restarts, ends=(End(3, 0.95), End(7, 0.94)), curve=())
    assert anytime_sentences([worse, replace(rival, curve=())])[0] == (
        "AdamWR never reaches the 0.9700 of AdamW at epoch 7: its best cycle ends at epoch 3 "
        "with 0.9500, 0.0200 below."
    )


def test_of_a_loss_whose_curve_is_sparse():
    units = Units(Metric("nll", "test loss", unit="nats"), matters=0.001)
    restarts = replace(run("AdamWR", (20, 0.034, 0.001), (60, 0.03, 0.001)), units=units)
    rival = replace(
        run("AdamW", (60, 0.031, 0.001)), curve=(0.05, 0.034, 0.031), epochs=(20, 40, 60)
    )
    assert anytime_sentences([restarts, replace(rival, units=units)]) == (
        "What AdamWR has at epoch 20 (0.0340 nats), AdamW first has at epoch 40: 2.0 times as "
        "late.",
        "AdamWR reaches the 0.0310 ± 0.0010 nats of AdamW at epoch 60 of 60, where both end "
        "(0.0300 ± 0.0010 nats: no clear difference).",
    )

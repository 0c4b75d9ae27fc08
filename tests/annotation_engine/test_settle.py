"""A contradiction between measured orders is decided by their average."""

from __future__ import annotations

import pytest

from steelyard.inference.judging.judge import Order, combine
from steelyard.inference.judging.local import settle


def _order(swapped: bool, a: float, b: float, tie: float = 0.0) -> Order:
    p = {"a": a, "b": b, "tie": tie, "both_bad": round(1 - a - b - tie, 6)}
    return Order(swapped, "raw", max(p, key=p.__getitem__), None, f"because {swapped}", p)


def _settle(one: Order, other: Order) -> dict[str, object]:
    return settle(combine(1, [one, other]), [one, other])


@pytest.mark.parametrize(
    ("straight", "turned", "outcome"),
    [
        ((0.9, 0.1), (0.3, 0.7), "a"),
        ((0.7, 0.3), (0.1, 0.9), "b"),
        ((0.8, 0.2), (0.2, 0.8), "tie"),
        ((0.8, 0.2), (0.205, 0.795), "tie"),
    ],
)
def test_a_liking_for_the_first_place_falls_out(
    straight: tuple[float, float], turned: tuple[float, float], outcome: str
) -> None:
    line = _settle(_order(False, *straight), _order(True, *turned))
    assert line["outcome"] == outcome
    assert line.get("strength") == (0 if outcome == "tie" else None)
    assert "Averaged over both orders" in str(line["rationale"])
    assert "because True" in str(line["rationale"])


def test_agreement_is_left_as_it_is() -> None:
    orders = [_order(False, 0.6, 0.4), _order(True, 0.9, 0.1)]
    line = combine(1, orders)
    assert settle(line, orders) == line


def test_changing_the_places_changes_the_sign_only() -> None:
    one, other = _order(False, 0.9, 0.1), _order(True, 0.3, 0.7)
    mirrored = [_order(False, 0.7, 0.3), _order(True, 0.1, 0.9)]
    assert _settle(one, other)["outcome"] == "a"
    assert _settle(*mirrored)["outcome"] == "b"

"""Protocols: what identifies one, and that different ones are refused by name, field and value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.errors import GrailError, ProtocolError
from schemas.protocol import Protocol, require_same
from tasks.metrics.eval_protocol import eval_protocol
from tasks.metrics.labels import LABELS
from tasks.metrics.registry import METRICS

FIELDS = {
    "labels": {"enjoyed": "above the 80th percentile", "top_n": "the user's 1,000 best"},
    "ks": (10, 20),
    "validation_share": 0.2,
    "candidates": "the observed block videos",
    "metrics": {"ndcg": "binary gain", "recall": "hits / relevant"},
    "data": "0f3a",
    "code": "77bc",
}
CHANGES = {
    "labels": {"enjoyed": "watch ratio >= 1", "top_n": "the user's 1,000 best"},
    "ks": (10,),
    "validation_share": 0.3,
    "candidates": "all videos",
    "metrics": {"ndcg": "binary gain"},
    "data": "ffff",
    "code": "ffff",
}


def protocol(**changes):
    return Protocol(**(FIELDS | changes))


def test_fingerprint_is_that_of_sha256sum():
    empty = Protocol(
        labels={}, ks=(10,), validation_share=0.5, candidates="", metrics={}, data="", code=""
    )
    # printf '{"candidates": "", "code": "", ..., "validation_share": 0.5}' | sha256sum
    assert empty.fingerprint == "0575932ca09075ea"


@given(st.permutations(list(FIELDS["labels"])), st.permutations(list(FIELDS["metrics"])))
def test_fingerprint_does_not_depend_on_the_order_of_names(labels, metrics):
    turned = protocol(
        labels={name: FIELDS["labels"][name] for name in labels},
        metrics={name: FIELDS["metrics"][name] for name in metrics},
    )
    assert turned.fingerprint == protocol().fingerprint
    assert require_same({"a": protocol(), "b": turned}) == protocol()


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_counts(field):
    other = protocol(**{field: CHANGES[field]})
    assert other.fingerprint != protocol().fingerprint
    with pytest.raises(ProtocolError, match=rf"night-2 differs from night-1 in {field}"):
        require_same({"night-1": protocol(), "night-2": other})


def test_frozen_and_closed():
    with pytest.raises(ValidationError, match="frozen"):
        protocol().data = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        protocol(more="fields")


def test_the_same_protocol_comes_back():
    assert require_same({"a": protocol(), "b": protocol(), "c": protocol()}) == protocol()
    assert require_same({"a": protocol()}) == protocol()


def test_no_artefact_has_no_protocol():
    with pytest.raises(ValueError, match="no artefact, so no protocol"):
        require_same({})


def test_refusal_names_artefacts_fields_and_both_values():
    with pytest.raises(ProtocolError) as caught:
        require_same(
            {
                "night-1": protocol(),
                "same": protocol(),
                "night-2": protocol(ks=(10,), labels=CHANGES["labels"]),
                "night-3": protocol(metrics=CHANGES["metrics"]),
            }
        )
    assert isinstance(caught.value, GrailError)
    assert str(caught.value) == (
        "figures of different protocols cannot be compared:"
        " night-2 differs from night-1 in labels.enjoyed ('watch ratio >= 1', not 'above the 80th"
        " percentile'), ks ([10], not [10, 20]);"
        " night-3 differs from night-1 in metrics.recall (nothing, not 'hits / relevant')."
        " Measure them again, in one run"
    )


def test_long_values_are_shortened_to_where_they_differ():
    long = "candidates\n" * 200
    with pytest.raises(ProtocolError) as caught:
        require_same({"a": protocol(candidates=long + "X" + long), "b": protocol(candidates=long)})
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    assert "X" in message


def test_the_eval_set_s_protocol_says_in_words_what_every_label_and_metric_is() -> None:
    protocol = eval_protocol("0f3a", "77bc")
    assert list(protocol.labels) == list(LABELS)
    assert list(protocol.metrics) == [*(metric.name for metric in METRICS), "mean"]
    assert all([*protocol.labels.values(), *protocol.metrics.values()])

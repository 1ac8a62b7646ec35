import pytest

from foresail_operator.scaling import selectors

LABELS = {"team": "a", "foresail.dev/model": "shelf", "tier": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("team=a", True),
        ("team==a", True),
        ("team=b", False),
        ("team!=b", True),
        ("other!=b", True),  # an absent label is not b
        ("foresail.dev/model=shelf,team=a", True),
        ("foresail.dev/model=shelf,team=b", False),
        ("team in (a, b)", True),
        ("team in (c)", False),
        ("team notin (c,d)", True),
        ("other notin (c)", True),
        ("team", True),
        ("!team", False),
        ("!other, team", True),
        ("tier=", True),
    ],
)
def test_selectors_select_as_kubernetes_does(text: str, matches: bool) -> None:
    assert selectors.parse(text).matches(LABELS) is matches


@pytest.mark.parametrize("text", ["=a", "a=b=c", "a in b", "a in (b", "a,,b", "a b", "a in (b c)", "-a=b"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(selectors.SelectorError, match="unable to parse selector"):
        selectors.parse(text)

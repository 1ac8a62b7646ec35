import pytest

from foresail_operator.scaling import selectors

LABELS = {"team": "a", "foresail.dev/model": "shelf", "tier": "", "weight": "7"}


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
        ("weight>6", True),
        ("weight > 7", False),
        ("weight<8,team", True),
        ("weight<-1", False),
        ("team>1", False),  # no number
        ("other<1", False),
    ],
)
def test_selectors_select_as_kubernetes_does(text: str, matches: bool) -> None:
    assert selectors.parse(text).matches(LABELS) is matches


@pytest.mark.parametrize("text", ["=a", "a=b=c", "a in b", "a in (b", "a,,b", "a b", "a in (b c)", "-a=b", "a>b", "a>"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(selectors.SelectorError, match="unable to parse selector"):
        selectors.parse(text)

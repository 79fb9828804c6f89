"""Whose lists people get tonight, and how sure that is: kept with the leaderboard."""

from pydantic import BaseModel, ConfigDict


class Lead(BaseModel):
    """A model's NDCG@10 minus the default's, paired by validation user; None: not defined.

    All leads of a night hold at once, in 95 % of nights.
    """

    model_config = ConfigDict(frozen=True)
    difference: float | None
    low: float | None
    high: float | None


class Choice(BaseModel):
    """The model of the lists, the one that stands unless another is better for sure, all leads."""

    model_config = ConfigDict(frozen=True)
    model: str
    default: str
    users: int
    leads: dict[str, Lead]

    @property
    def words(self) -> str:
        """The choice and what it rests on, in one line for people."""
        users = f"{self.users} validation users"
        if self.model != self.default:
            return f"{self.model} is chosen: {self._lead_of(self.model)} on {users}"
        known = {name: lead.difference for name, lead in self.leads.items()}
        nearest = max(known, key=lambda name: _or_least(known[name]), default=None)
        if nearest is None or known[nearest] is None:
            return f"{self.model} is chosen: no other model can be told from it on {users}"
        return (
            f"{self.model} is chosen: none of {len(self.leads)} others is better for sure;"
            f" {self._lead_of(nearest)} on {users}"
        )

    def _lead_of(self, name: str) -> str:
        lead = self.leads[name]
        ends = "" if lead.low is None else f" [{lead.low:+.4f}, {lead.high:+.4f}]"
        return f"{name} is {lead.difference:+.4f}{ends} off {self.default} in NDCG@10"


def _or_least(value: float | None) -> float:
    return float("-inf") if value is None else value

"""What a task wants of the worker that runs it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Needs:
    """Memory, cores, and whether a GPU would be of use, of one task at KuaiRec's full size."""

    mib: int = 1_000
    cores: int = 1
    uses_gpu: bool = False

    def fitted(self, offers: Iterable["Offer"]) -> "Needs":
        """Return what can be asked for where these workers are: some worker has all of it.

        What no worker holds gets the largest one, alone. A GPU is asked for where one is.
        """
        offers = list(offers)
        with_gpu = [offer for offer in offers if offer.gpus >= 1]
        asked = replace(self, uses_gpu=self.uses_gpu and bool(with_gpu))
        able = with_gpu if asked.uses_gpu else offers
        if any(offer.mib >= self.mib and offer.cores >= self.cores for offer in able):
            return asked
        largest = max(able, key=lambda offer: (offer.mib, offer.cores))
        return replace(
            asked, mib=int(min(self.mib, largest.mib)), cores=int(min(self.cores, largest.cores))
        )


@dataclass(frozen=True)
class Offer:
    """What a worker has for tasks."""

    mib: float
    cores: float
    gpus: float = 0

"""`Observer`: what the parts of the agent tell about what they do. This one listens and does nothing.

Here: the methods, once, for those who call them. Not here: numbers (recorder.py). A caller does not ask whether metrics
are on: a call that does nothing costs 30 nanoseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from adapters.transactions import Gone, TransactionStore
    from adapters.troubles import Reason
    from waf_engine import Interruption, MatchedRule, Transaction

    Wrap = Callable[[Callable[[Transaction, int], None]], Callable[[Transaction, int], None]]


class Observer:
    """Is told what happens. Applications are named as in the configuration; other names count for nothing."""

    # -- messages: the handler ----------------------------------------------------------------------

    def message(self, seconds: float) -> None:
        """A message was answered."""

    def trouble(self, reason: Reason) -> None:
        """A message got no verdict."""

    def timer(self, application: str) -> Wrap | None:
        """What measures the phases of a transaction that begins: see `WAF.transaction`."""

    def request(
        self, application: str, transaction: Transaction, interruption: Interruption | None, *, blocks: bool = True
    ) -> None:
        """A request was judged.

        Args:
            application: its name.
            transaction: the transaction.
            interruption: the verdict.
            blocks: whether the verdict is answered; False for detection only.
        """

    def response(
        self, application: str, transaction: Transaction, interruption: Interruption | None, *, blocks: bool = True
    ) -> None:
        """A response was judged; see `request`."""

    def failed(self, application: str, *, response: bool = False) -> None:
        """A request, or a response, could not be judged: the engine raised."""

    def matched(self, application: str, transaction: Transaction, rules: Sequence[MatchedRule]) -> None:
        """Rules matched; each is told of once."""

    def dropped(self, application: str, gone: Gone) -> None:
        """A transaction that waited for its response was taken out of the store, for that reason."""

    def missed(self, application: str, gone: Gone) -> None:
        """A response came whose transaction is not in the store, for that reason."""

    def truncated(self, application: str, *, response: bool = False) -> None:
        """A body came only in part."""

    def skipped(self, application: str, what: str) -> None:
        """Something was not inspected because of a skip list: ``path`` or ``content-type``."""

    def over_budget(self, application: str, action: str) -> None:
        """A transaction took more processor time than it may: ``pass``, ``deny`` or ``error`` was the consequence."""

    # -- connections: the loops ---------------------------------------------------------------------

    def opened(self) -> None:
        """A connection was accepted."""

    def closed(self) -> None:
        """A connection has ended."""

    def received(self, size: int, events: Iterable[object]) -> None:
        """Bytes came, and the events that follow from them."""

    def sent(self, data: bytes) -> None:
        """Whole frames were sent."""

    def delayed(self, seconds: float) -> None:
        """The loop was so late with something it had to do at a certain time."""

    # -- the process --------------------------------------------------------------------------------

    def waiting(self, stores: Mapping[str, TransactionStore[object]]) -> None:
        """The stores of the applications as they are now; to be called every second or so."""

    def shared(self, result: str, seconds: float | None = None) -> None:
        """The shared store was asked.

        Args:
            result: ``ok``, ``timeout``, ``error``; ``refused`` when it was not, for it did not answer lately.
            seconds: how long it took; None where it was not asked.
        """

    def lines_lost(self, count: int) -> None:
        """So many lines could not be written to the logs since this was last told."""

    def loaded(self, applications: Iterable[str], *, success: bool) -> None:
        """Rules of these applications were loaded, or not, because they have faults."""

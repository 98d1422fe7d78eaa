"""What the agent knows: how bad an address is. A handler is a plain function, whichever loop calls it."""

from ipaddress import IPv4Address, IPv6Address, ip_network

from spop_proto import Notify, Scope, SetVar

SCORES = {ip_network("127.0.0.66/32"): 90, ip_network("192.0.2.0/24"): 60, ip_network("2001:db8::/32"): 60}


def reputation(notify: Notify) -> list[SetVar]:
    """Answer with sess.reputation.score, from 0 to 100, for the argument `ip` of each message."""
    actions = []
    for message in notify.messages:
        address = dict(message.args).get("ip")
        if isinstance(address, IPv4Address | IPv6Address):
            score = max((score for network, score in SCORES.items() if address in network), default=0)
            actions.append(SetVar(Scope.SESSION, "score", score))
    return actions

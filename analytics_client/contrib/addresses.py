"""Whose request it is, by address: what X-Forwarded-For or Forwarded say, and how much of it can be believed. Pure.

Each proxy appends the address it was called from, so the right end was written by the proxies one runs oneself, and
whatever stands left of that may be forged. Knows the two headers' syntax (RFC 7239); decides nothing about sending it.
"""

import ipaddress
import re

# for=192.0.2.60, for="[2001:db8::1]:4711": a parameter of one element of Forwarded.
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)

# Nearly every address there is, told without parsing it: in its one form already.
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")


def client_address(peer: str, header: str, *, trusted_proxies: int, forwarded: bool = False) -> str | None:
    """Return the address of the right-most hop that is not a trusted proxy.

    Args:
        peer: the address that is connected.
        header: X-Forwarded-For, or Forwarded; several of one name joined by commas; empty if there is none.
        trusted_proxies: how many proxies stand before this server.
        forwarded: `header` is Forwarded.

    Returns:
        The address, without port; None where that hop is no address (`unknown`, a pseudonym, garbage).
    """
    if not trusted_proxies:
        return _address(peer)
    # Only the right end counts: a header of any length costs no more than the hops that are looked at.
    elements = header.rsplit(",", trusted_proxies)[-trusted_proxies:]
    hops = [_hop(each) if forwarded else each for each in elements if each.strip()]
    return _address(hops[0]) if hops else _address(peer)


def _hop(element: str) -> str:
    found = _FOR.search(element)
    return "" if found is None else found[1] if found[1] is not None else found[2]


def _address(hop: str) -> str | None:
    text = hop.strip().strip('"')
    if _IPV4.fullmatch(text):
        return text
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]  # the zone of a link-local address, which says nothing elsewhere and may be any text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)

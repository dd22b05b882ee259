"""Which address is believed: never one that the client could have written itself."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client.contrib.addresses import client_address

PEER = "10.0.0.9"


@pytest.mark.parametrize(
    ("proxies", "header", "found"),
    [
        (0, "", PEER),
        (0, "6.6.6.6", PEER),
        (1, "", PEER),
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "1.2.3.4"),  # somebody inside came by the inner proxy alone
        (1, "1.2.3.4:5678", "1.2.3.4"),
        (1, "[2001:db8::1]:80", "2001:db8::1"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "::ffff:1.2.3.4", "1.2.3.4"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "unknown", None),
        (1, "6.6.6.6, _hidden", None),
        (1, "1.2.3.4.5", None),
        (1, " , ", PEER),
    ],
)
def test_x_forwarded_for(proxies: int, header: str, found: str | None) -> None:
    assert client_address(PEER, header, trusted_proxies=proxies) == found


@pytest.mark.parametrize(
    ("proxies", "header", "found"),
    [
        (0, "for=6.6.6.6", PEER),
        (1, "for=1.2.3.4", "1.2.3.4"),
        (1, "For=6.6.6.6, for=1.2.3.4;proto=https;by=10.0.0.1", "1.2.3.4"),
        (1, 'proto=https;FOR="[2001:db8::1]:4711"', "2001:db8::1"),
        (2, 'for=6.6.6.6, for="1.2.3.4:80", for=10.0.0.1', "1.2.3.4"),
        (1, 'for="6.6.6.6, for=1.2.3.4', "1.2.3.4"),  # a quote that the client has left open
        (1, "for=unknown", None),
        (1, "by=10.0.0.1", None),
        (1, "therefor=6.6.6.6", None),
    ],
)
def test_forwarded(proxies: int, header: str, found: str | None) -> None:
    assert client_address(PEER, header, trusted_proxies=proxies, forwarded=True) == found


@pytest.mark.parametrize("peer", ["", "unix:", "127.0.0.1:80:80", "localhost"])
def test_a_peer_without_an_address(peer: str) -> None:
    assert client_address(peer, "", trusted_proxies=0) is None


# What a client can write into the header before our proxies append to it.
forged = st.text(st.characters(codec="utf-8"), max_size=60) | st.lists(
    st.ip_addresses().map(str) | st.sampled_from(["", " ", '"', "for=6.6.6.6", 'for="', "unknown", "%"]), max_size=5
).map(",".join)
addresses = st.ip_addresses().filter(lambda each: each.version == 4 or each.ipv4_mapped is None)


@given(forged, addresses, st.lists(addresses, max_size=3), st.booleans())
def test_a_forged_header_never_wins(
    written: str,
    real: ipaddress.IPv4Address | ipaddress.IPv6Address,
    proxies: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
    forwarded: bool,
) -> None:
    """Each proxy appends the address it was called from: the first the client's, the others the one before them."""
    hops = [f'for="{_bracketed(each)}"' if forwarded else str(each) for each in (real, *proxies)]
    header = ", ".join([*([written] if written else []), *hops])
    found = client_address(PEER, header, trusted_proxies=len(hops), forwarded=forwarded)
    assert found == str(real).partition("%")[0]


def _bracketed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(address) if address.version == 4 else f"[{address}]:4711"


@given(st.text(max_size=40), st.text(), st.integers(0, 5), st.booleans())
def test_whatever_comes_it_is_an_address_or_none(peer: str, header: str, proxies: int, forwarded: bool) -> None:
    found = client_address(peer, header, trusted_proxies=proxies, forwarded=forwarded)
    if found is not None:
        assert str(ipaddress.ip_address(found)) == found

"""Where webhooks may go: nowhere that is not known to be public."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from police_link.webhooks.addresses import AddressRefused, Reach, UrlRefused, allowed, parse_url, reach

pytestmark = pytest.mark.attack

INSIDE = [
    IPv4Network(each)
    for each in ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                 "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4")
]  # fmt: skip
inside = st.one_of(
    *(st.integers(int(each[0]), int(each[-1])).map(IPv4Address) for each in INSIDE),
)
GLOBAL, NAT64 = IPv6Network("2000::/3"), IPv6Network("64:ff9b::/96")
v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address)


def embeddings(address: IPv4Address) -> list[IPv6Address]:
    number = int(address)
    return [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(int(IPv6Address("2002::")) | (number << 80) | 1),
    ]


@given(inside)
def test_nothing_inside_a_network_of_ours_is_public(address: IPv4Address) -> None:
    assert reach(address) is not Reach.PUBLIC


@given(v4)
def test_an_address_inside_another_lies_where_that_one_lies(address: IPv4Address) -> None:
    assert {reach(each) for each in embeddings(address)} == {reach(address)}


@given(v4)
def test_what_python_calls_not_global_is_never_public(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert reach(address) is not Reach.PUBLIC


@given(v6)
def test_no_ipv6_address_outside_the_global_range_is_public(address: IPv6Address) -> None:
    if reach(address) is Reach.PUBLIC:
        assert address in GLOBAL or address in NAT64 or address.ipv4_mapped
        assert not address.is_multicast
        assert not address.is_link_local


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1",
     "ff02::1", "255.255.255.255", "2001:0:a00:1::", "64:ff9b:1::a00:1", "::127.0.0.1", "100::1", "2001:db8::1"],
)  # fmt: skip
def test_metadata_link_local_multicast_and_reserved_addresses_are_refused_whatever_the_setting(address: str) -> None:
    assert reach(ip_address(address)) is Reach.REFUSED


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.31.0.1", "::1", "fd12::1"])
def test_private_networks_and_loopback_are_reached_where_the_setting_allows(address: str) -> None:
    assert reach(ip_address(address)) is Reach.PRIVATE


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "2400:cb00::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert reach(ip_address(address)) is Reach.PUBLIC


@given(st.lists(v4, min_size=1), inside)
def test_one_bad_address_among_them_refuses_them_all(good: list[IPv4Address], bad: IPv4Address) -> None:
    target = parse_url("https://station.example/hook", allow_private=False)
    with pytest.raises(AddressRefused):
        allowed(target, [*good, bad], allow_private=False)


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(AddressRefused):
        allowed(parse_url("https://station.example", allow_private=False), [], allow_private=False)


def test_plain_http_never_goes_to_a_public_address() -> None:
    target = parse_url("http://station.example", allow_private=True)
    with pytest.raises(AddressRefused):
        allowed(target, [ip_address("8.8.8.8")], allow_private=True)
    assert allowed(target, [ip_address("10.0.0.8")], allow_private=True)


REFUSED = [
    "http://station.example/",
    "ftp://station.example/",
    "station.example",
    "https://",
    "https:///hook",
    "https://user@station.example/",
    "https://user:pw@station.example/",
    "https://station.example/#fragment",
    "https://station.example:22/",
    "https://station.example:0/",
    "https://station.example:99999/",
    "https://station.example:x/",
    "https://station.example./",
    "https://localhost/",
    "https://station.localhost/",
    "https://intranet/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0x1/",
    "https://0177.0.0.1/",
    "https://10.0.0.8:8443/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[64:ff9b::7f00:1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://station.example\\@10.0.0.1/",
    "https://station.example/ a",
    "https://station.example/\n",
    "https://پولیس.example/",
    "https://" + "a" * 64 + ".example/",
    "https://station.example/" + "a" * 2000,
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_leads_inside_or_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        parse_url(url, allow_private=False)
    assert url not in str(refused.value)


def test_a_url_is_taken_apart_once() -> None:
    target = parse_url("https://Hooks.Station.example:8443/a/b?c=d", allow_private=False)
    assert (target.host, target.port, target.target) == ("hooks.station.example", 8443, "/a/b?c=d")
    assert target.authority == "hooks.station.example:8443"
    assert parse_url("https://station.example", allow_private=False).target == "/"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4711/x", "http://localhost:4711", "https://[::1]:9000/", "http://10.0.0.1/"]
)
def test_where_the_setting_allows_a_receiver_on_this_machine_is_taken(url: str) -> None:
    parse_url(url, allow_private=True)


@given(st.text())
def test_any_text_is_either_a_target_or_refused(text: str) -> None:
    for candidate in (text, f"https://{text}", f"https://station.example/{text}"):
        try:
            target = parse_url(candidate, allow_private=False)
        except UrlRefused:
            continue
        assert target.scheme == "https"
        assert target.port in {443, 8443}

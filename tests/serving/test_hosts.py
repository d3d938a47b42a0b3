"""Who may ask a server: names of loopback and those that are given, and pages of these."""

import pytest

from nertransfer.core.config import ServeConfig
from nertransfer.core.errors import InputError
from nertransfer.serving import hosts

NAMES = hosts.allowed("192.0.2.7", ("NER.example.org", "[2001:db8::1]"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:5001", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:5001",
        "192.0.2.7:80", "ner.example.org", "ner.Example.org:443", "[2001:DB8::1]:5001",
    ],
)  # fmt: skip
def test_a_name_that_is_allowed_is_answered_with_any_port_and_so_are_its_pages(host: str) -> None:
    assert hosts.refusal({"host": host}, NAMES) == ""
    for scheme in ("http", "https"):
        assert hosts.refusal({"host": "localhost", "origin": f"{scheme}://{host}"}, NAMES) == ""


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:5001", "localhost.evil.example", "evil.example.org", "xlocalhost",
        "127.0.0.11", "127.0.0.1.evil.example", "0.0.0.0:5001", "[::]", "10.0.0.1", "localhost@evil.example",
        "evil.example/localhost", "evil.example#localhost", "localhost:5001:80", "localhost:x", "[::1", "::1",
        " localhost", "localhost, evil", "null",
    ],
)  # fmt: skip
def test_every_other_name_is_refused_and_so_are_its_pages(host: str) -> None:
    assert "is not allowed: start the server with allowed_hosts=" in hosts.refusal({"host": host}, NAMES)
    for scheme in ("http", "https"):
        assert "Origin" in hosts.refusal({"host": "localhost", "origin": f"{scheme}://{host}"}, NAMES)


@pytest.mark.parametrize("origin", ["", "null", "localhost", "http://", "http://[", "file://", "https://evil.example/localhost",
                                    "https://localhost@evil.example", "https://evil.example#@localhost"])  # fmt: skip
def test_a_page_without_a_name_is_refused(origin: str) -> None:
    assert "Origin" in hosts.refusal({"host": "localhost", "origin": origin}, NAMES)


@pytest.mark.parametrize("host", hosts.EVERY_ADDRESS)
def test_who_listens_at_every_address_is_asked_by_the_names_that_are_given(host: str) -> None:
    assert hosts.allowed(host, ("gpu7",)) == {"localhost", "127.0.0.1", "[::1]", "gpu7"}


@pytest.mark.parametrize(
    "name", ["http://gpu7", "gpu7:5001", "gpu7/", "*", "", "::1", "a b", "ọ.example", "me@gpu7", "[gpu7]"]
)
def test_what_can_be_no_name_is_refused_before_anything_is_loaded(name: str) -> None:
    with pytest.raises(InputError, match=r"^allowed_hosts='.*' is not allowed: names or addresses without http://"):
        ServeConfig(allowed_hosts=("gpu7", name))

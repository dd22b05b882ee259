import pickle
from typing import Any

import pytest

from analytics_client.config import OPTION_NAMES, Config, WriteKey
from analytics_client.dialects import DIALECTS, Segment
from analytics_client.errors import ConfigError


def load(write_key: Any = "key", environment: dict[str, str] | None = None, **given: Any) -> Config:
    return Config.load(write_key, given, environment or {})


def test_the_defaults() -> None:
    config = load()
    assert config.base_url == "https://api.segment.io"
    assert (config.flush_at, config.flush_interval, config.max_queue_bytes) == (500, 0.5, 64 * 1024 * 1024)
    assert (config.max_event_bytes, config.max_batch_bytes, config.concurrency) == (32_767, 500_000, 1)
    assert (config.timeout, config.max_retries, config.max_retry_time) == (15.0, None, 43_200.0)
    switches = (config.gzip, config.sync, config.strict, config.debug, config.allow_insecure)
    assert switches == (False,) * 5
    assert config.enabled
    assert config.batch
    stream = load(dialect="segmentstream")
    assert (stream.max_event_bytes, stream.concurrency) == (65_536, 8)
    assert stream.base_url == "https://track.segmentstream.com"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"write_key": ""}, "write_key is missing: pass it to Client, or set ANALYTICS_WRITE_KEY"),
        ({"write_key": None}, "write_key is missing"),
        ({"write_key": 5}, "write_key must be text, not a int"),
        ({"write_key": "ké"}, "write_key must be printable ASCII"),
        ({"write_key": "k\r\nX: y"}, "write_key must be printable ASCII"),
        ({"write_key": "a b"}, "write_key must be printable ASCII without spaces"),
        ({"write_key": "a:b"}, "write_key must not contain ':'"),
        ({"dialect": "mixpanel"}, "dialect must be one of segment, rudderstack, segmentstream or a Dialect object"),
        ({"dialect": 5}, "dialect must be one of"),
        ({"dialect": []}, "dialect must be one of"),
        ({"dialect": "rudderstack"}, "host is missing: rudderstack has no common address"),
        ({"host": "http://example.com"}, "host must be https: over http everybody on the way reads the write key"),
        ({"host": "example.com"}, "host must begin with https://"),
        ({"host": "ftp://example.com"}, "host must begin with https://"),
        ({"host": "https://"}, "host must begin with https:// and name a server"),
        ({"host": "https://user:hunter2@example.com"}, "host must not contain a user name or password"),
        ({"host": "https://example.com?x=1"}, "host must not contain a query"),
        ({"host": "https://example.com?"}, "host must not contain a query"),
        ({"host": "https://example.com#x"}, "host must not contain a query or a fragment"),
        ({"host": "https://example.com\\@evil.com"}, "backslashes"),
        ({"host": "https://exa mple.com"}, "blanks"),
        ({"host": "https://example.com:99999"}, "not a valid URL"),
        ({"host": "https://[::1"}, "not a valid URL"),
        ({"host": "https://api.segment.io/v1"}, "host must end before /v1: the dialect adds the path"),
        ({"host": "https://api.segment.io/v1/batch/"}, "host must end before /v1/batch"),
        ({"host": 5}, "host must be text"),
        ({"flush_at": 0}, "flush_at must be at least 1 events, not 0"),
        ({"flush_at": "5"}, "flush_at must be a whole number of events, not '5'"),
        ({"flush_at": True}, "flush_at must be a whole number of events, not True"),
        ({"flush_interval": -1}, "flush_interval must be at least 0 seconds, not -1"),
        ({"flush_interval": float("nan")}, "flush_interval must be a number of seconds"),
        ({"max_queue_bytes": -5}, "max_queue_bytes must be at least 1 bytes, not -5"),
        ({"timeout": 0}, "timeout must be above 0 seconds, not 0"),
        ({"timeout": "15"}, "timeout must be a number of seconds, not '15'"),
        ({"max_retries": -1}, "max_retries must be at least 0 retries"),
        ({"concurrency": 0}, "concurrency must be at least 1 requests"),
        ({"on_full": "explode"}, "on_full must be one of drop_newest, drop_oldest, block, not 'explode'"),
        ({"gzip": 1}, "gzip must be True or False, not 1"),
        ({"gzip": True, "dialect": "segmentstream"}, "gzip is on, but segmentstream documents no compressed bodies"),
        ({"max_batch_bytes": 500_001}, "max_batch_bytes is 500,001; segment takes at most 500,000 bytes a request"),
        ({"context": []}, "context must be a mapping with text keys, not a list"),
        ({"context": {1: 2}}, "context must be a mapping with text keys"),
        ({"before_send": 5}, "before_send must be callable, not 5"),
        ({"transport": object()}, "transport must have the methods send"),
        ({"proxies": {"https": 5}}, "proxies must map schemes to proxy URLs"),
        ({"ca_file": "/no/such/file"}, "ca_file names no file: /no/such/file"),
        ({"oauth_client_id": "x"}, "oauth_client_id: OAuth is not supported"),
        ({"flush_att": 5}, "flush_att is no option; did you mean flush_at?"),
        ({"zzz": 5}, "zzz is no option"),
    ],
)
def test_one_clear_sentence_for_each_mistake(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**given)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("https://events.eu1.segmentapis.com", "https://events.eu1.segmentapis.com"),
        ("https://events.eu1.segmentapis.com/", "https://events.eu1.segmentapis.com"),
        ("https://proxy.example.com:8443/rudder/", "https://proxy.example.com:8443/rudder"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://app.localhost", "http://app.localhost"),
    ],
)
def test_hosts_that_are_fine(host: str, base_url: str) -> None:
    assert load(host=host).base_url == base_url


def test_http_elsewhere_only_if_asked_for() -> None:
    assert load(host="http://collector.internal", allow_insecure=True).base_url == "http://collector.internal"


def test_rudderstack_may_have_larger_batches() -> None:
    config = load(dialect="rudderstack", host="https://d.example.com", max_batch_bytes=4_000_000)
    assert config.max_batch_bytes == 4_000_000
    assert load(max_event_bytes=1_000_000).max_event_bytes == 1_000_000


def test_a_dialect_object_is_taken_as_it_is() -> None:
    mine = Segment()
    assert load(dialect=mine).dialect is mine
    assert load(dialect="segment").dialect is DIALECTS["segment"]


def test_the_environment_speaks_where_the_caller_does_not() -> None:
    environment = {
        "ANALYTICS_WRITE_KEY": "from-environment",
        "ANALYTICS_DIALECT": "rudderstack",
        "ANALYTICS_HOST": "https://d.example.com",
        "ANALYTICS_FLUSH_AT": " 20 ",
        "ANALYTICS_FLUSH_INTERVAL": "2.5",
        "ANALYTICS_GZIP": "Yes",
        "ANALYTICS_ENABLED": "0",
        "ANALYTICS_TIMEOUT": "",
        "ANALYTICS_CONTEXT": "ignored",
    }
    config = load(None, environment, flush_interval=1)
    assert config.write_key.reveal() == "from-environment"
    assert config.dialect.name == "rudderstack"
    assert config.base_url == "https://d.example.com"
    assert (config.flush_at, config.flush_interval, config.timeout) == (20, 1.0, 15.0)
    assert config.gzip
    assert not config.enabled
    assert config.context is None


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FLUSH_AT", "many", "ANALYTICS_FLUSH_AT must be a whole number, not 'many'"),
        ("TIMEOUT", "soon", "ANALYTICS_TIMEOUT must be a number, not 'soon'"),
        ("GZIP", "perhaps", "ANALYTICS_GZIP must be 1 or 0, true or false, not 'perhaps'"),
        ("FLUSH_AT", "0", "flush_at must be at least 1 events"),
        ("ON_FULL", "explode", "on_full must be one of"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load("key", {f"ANALYTICS_{name}": value})


def test_every_option_that_can_has_a_twin_in_the_environment() -> None:
    texts = {"dialect": "segment", "host": "https://e.example.com", "on_full": "block", "ca_file": __file__}
    switches = {"gzip", "batch", "sync", "enabled", "strict", "debug", "allow_insecure", "flush_on_sigterm"}
    objects = {"context", "integrations", "before_send", "on_delivered", "on_failed", "default", "transport", "proxies"}
    for name in set(OPTION_NAMES) - objects:
        value = texts.get(name, "1")
        config = load("key", {f"ANALYTICS_{name.upper()}": value})
        expected = {"dialect": DIALECTS["segment"]}.get(name, True if name in switches else value)
        assert str(getattr(config, name)).removesuffix(".0") == str(expected), name


def test_a_write_key_never_shows_itself() -> None:
    secret = "abcdefghijklmnop1234"
    config = load(secret, proxies={"https": "http://u:hunter2@proxy:1"}, context={"token": "hunter2"})
    for shown in (repr(config), str(config), repr(config.write_key), str(config.write_key), f"{config.write_key}"):
        assert "abcdefgh" not in shown
        assert "hunter2" not in shown
    assert repr(config.write_key) == "WriteKey(…1234)"
    assert repr(WriteKey("short")) == "WriteKey(…)"
    assert WriteKey("a") == WriteKey("a") != WriteKey("b")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(config)


def test_switched_off_it_needs_nothing_and_nothing_is_wrong() -> None:
    wrong = {"ANALYTICS_FLUSH_AT": "many", "ANALYTICS_DIALECT": "rudderstack"}
    assert not Config.load(None, {"enabled": False}, wrong).enabled
    assert not Config.load(None, {}, {"ANALYTICS_ENABLED": "0"}).enabled
    with pytest.raises(ConfigError, match="write_key is missing"):
        Config.load(None, {"enabled": True}, {"ANALYTICS_ENABLED": "0"})

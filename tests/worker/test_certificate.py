"""The certificate of the site is looked at as a carrier would see it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from conversations.insight.troubles.kinds import Trouble
from conversations.models import SiteCertificate
from conversations.worker import certificate_thread
from conversations.worker.certificate_thread import CertificateThread, check_certificate
from smsproxy.certificate import Certificate, NoCertificate, certificate_of
from tests.support.outbox import later
from tests.support.stub_carrier import StubCarrier
from tests.support.troubles import active_troubles

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def site(tmp_path, monkeypatch, settings):
    """Run a site with TLS, and return it. Its certificate is trusted, and valid for a day."""
    with StubCarrier(tmp_path) as running:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.ca))
        settings.PUBLIC_URL = f"https://{running.host}"
        yield running


@pytest.mark.slow
@pytest.mark.xdist_group("servers")
class TestARealSite:
    def test_its_certificate_is_read(self, site):
        certificate = certificate_of(f"https://{site.host}", seconds=5)

        assert certificate.begins_at < datetime.now(UTC) < certificate.ends_at

    def test_one_that_is_not_trusted_is_a_trouble(self, db, site, monkeypatch):
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")

        check_certificate()

        assert "it is not valid" in active_troubles()[Trouble.CERTIFICATE]

    def test_a_site_that_cannot_be_reached_is_a_trouble(self, db, settings):
        settings.PUBLIC_URL = "https://127.0.0.1:1"

        check_certificate()

        assert "no TLS connection" in active_troubles()[Trouble.CERTIFICATE]

    def test_a_port_without_tls_is_told(self, live_server):
        with pytest.raises(NoCertificate, match="no TLS connection"):
            certificate_of(live_server.url.replace("http:", "https:"), seconds=5)


@pytest.mark.parametrize(
    ("length", "left", "soon"), [(90, 13, True), (90, 15, False), (6, 2, False), (6, 0.9, True), (90, -1, True)]
)
def test_the_end_is_near_when_renewal_is_overdue(length, left, soon):
    certificate = Certificate(NOW + timedelta(days=left - length), NOW + timedelta(days=left))

    assert certificate.ends_soon(NOW) is soon


@pytest.mark.parametrize(
    ("looks", "is_trouble", "pauses"),
    [
        ([False, False, True], False, [60, 60, 3600]),
        ([False, False, False], True, [60, 60, 60]),
        ([False, False, False, False, True], False, [60, 60, 60, 60, 3600]),
    ],
    ids=["restarts", "is away", "is back"],
)
def test_a_site_is_a_trouble_from_its_third_bad_look_until_a_good_one(
    db, settings, monkeypatch, looks, is_trouble, pauses
):
    left, paused = list(looks), []

    def look(url, *, seconds):
        if left.pop(0):
            return Certificate(NOW, NOW + timedelta(days=9000))
        raise NoCertificate("no TLS connection")

    settings.IS_HTTPS, settings.CARRIER, settings.PUBLIC_URL = True, "vonage", "https://sms.example.com"
    monkeypatch.setattr(certificate_thread, "certificate_of", look)
    monkeypatch.setattr(certificate_thread, "connection", SimpleNamespace(close=lambda: None))

    stop: Any = SimpleNamespace(is_set=lambda: not left, wait=paused.append)
    CertificateThread(stop).run()

    assert (Trouble.CERTIFICATE in active_troubles()) is is_trouble
    assert paused == pauses


def test_a_result_of_yesterday_says_nothing(db, settings, time_machine):
    settings.PUBLIC_URL = "https://127.0.0.1:1"
    check_certificate()
    later(time_machine, 86401)

    assert SiteCertificate.objects.get().trouble
    assert Trouble.CERTIFICATE not in active_troubles()

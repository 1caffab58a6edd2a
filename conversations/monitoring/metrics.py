"""GET /metrics: the state of the pool and of sending, and what was counted, for Prometheus.

Each request reads the database, so the figures are right whichever process or machine answers. Counters are up to
`flush.INTERVAL` seconds old. Labels are pools, countries, states, hosts and the closed sets of smsproxy/metrics, never
a person's number or a virtual number.
"""

from django.conf import settings
from django.http import HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.views import APIView

from conversations.monitoring.counted import BuildCollector, CountedCollector
from conversations.monitoring.pool import PoolCollector
from conversations.monitoring.sending import SendingCollector
from smsproxy.api.authentication import ApiKeyAuthentication
from smsproxy.api.permissions import require_scope
from smsproxy.api.scopes import Scope

COLLECTORS = (PoolCollector, SendingCollector, CountedCollector, BuildCollector)


class ScraperAuthentication(BaseAuthentication):
    """Admit the token METRICS_TOKEN and nothing else. Without the setting, admit API keys."""

    def authenticate(self, request: Request) -> tuple[object, object]:
        if not settings.METRICS_TOKEN:
            return self._by_api_key(request)
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.METRICS_TOKEN):
            raise AuthenticationFailed(
                "Expected the header «Authorization: Bearer <token>» with the token in the setting METRICS_TOKEN. "
                "Where it is set, an API key does not open /metrics."
            )
        return "scraper", "scraper"

    def _by_api_key(self, request: Request) -> tuple[object, object]:
        try:
            key, _ = ApiKeyAuthentication().authenticate(request)
        except AuthenticationFailed:
            raise AuthenticationFailed(
                "Set METRICS_TOKEN, and send «Authorization: Bearer <token>». While it is not set, an API key opens "
                "/metrics."
            ) from None
        require_scope(key, Scope.READ)
        return key, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Metrics(APIView):
    """The metrics in the format that the Accept header asks for."""

    authentication_classes = (ScraperAuthentication,)
    permission_classes = ()  # The authentication admits or raises.

    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        for collector in COLLECTORS:
            registry.register(collector())
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except TypeError:  # The Accept header asks for a version that does not exist.
            encode, content_type = choose_encoder("")
        return HttpResponse(encode(registry), content_type=content_type)

"""The certificate of PUBLIC_URL, as a worker last saw it."""

from datetime import timedelta
from typing import Self

from django.db import models

# A result says nothing any more if it is older than this: no worker has looked since.
VALID_FOR = timedelta(days=1)


class SiteCertificateQuerySet(models.QuerySet["SiteCertificate"]):
    def of(self, url: str) -> Self:
        return self.filter(url=url)


class SiteCertificate(models.Model):
    """trouble: why carriers cannot reach the site by TLS, or when the certificate ends, if that is soon."""

    url = models.CharField(max_length=300, unique=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    trouble = models.CharField(max_length=200, blank=True)
    checked_at = models.DateTimeField()

    objects = SiteCertificateQuerySet.as_manager()

    def __str__(self) -> str:
        return self.url

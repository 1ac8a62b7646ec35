"""Which certificates are believed: those that Kubernetes' own clients believe.

From Python 3.13 on a default context asks what RFC 5280 wants of a certificate's extensions (VERIFY_X509_STRICT).
Clusters whose authority has no key identifier, which EKS makes to this day, would be refused ("Missing Authority Key
Identifier"), and so would what an aggregator of theirs shows. Chains, dates and names are checked as ever.
"""

from __future__ import annotations

import ssl


def as_kubernetes_does(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context, which now checks a certificate as Go's clients do."""
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context

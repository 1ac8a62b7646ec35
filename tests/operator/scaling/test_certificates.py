import datetime as dt

from cryptography import x509

from foresail_operator.scaling import certificates
from foresail_operator.scaling.certificates import Chain

NAMES = ("foresail-metrics.foresail.svc",)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MADE = certificates.renew(None, NAMES, START)


def authorities(chain: Chain) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(chain.ca_bundle)


def test_a_good_chain_is_kept_as_it_is() -> None:
    assert certificates.renew(MADE, NAMES, START + dt.timedelta(days=200)) is MADE


def test_the_serving_certificate_is_renewed_long_before_it_ends_by_the_same_authority() -> None:
    renewed = certificates.renew(MADE, NAMES, START + dt.timedelta(days=300))
    assert renewed.certificate != MADE.certificate
    assert renewed.ca_bundle == MADE.ca_bundle
    x509.load_pem_x509_certificate(renewed.certificate).verify_directly_issued_by(authorities(MADE)[0])


def test_other_names_need_another_certificate() -> None:
    renewed = certificates.renew(MADE, ("other.foresail.svc",), START)
    names = x509.load_pem_x509_certificate(renewed.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["other.foresail.svc"]


def test_the_authority_is_renewed_in_its_last_year_and_the_old_one_stays_trusted_until_it_ends() -> None:
    renewed = certificates.renew(MADE, NAMES, START + dt.timedelta(days=3300))
    new, old = authorities(renewed)
    assert old == authorities(MADE)[0]
    x509.load_pem_x509_certificate(renewed.certificate).verify_directly_issued_by(new)
    assert len(authorities(certificates.renew(renewed, NAMES, START + dt.timedelta(days=6700)))) == 2


def test_a_broken_chain_is_made_anew() -> None:
    broken = Chain(b"x", b"y", b"z", b"w")
    assert len(authorities(certificates.renew(broken, NAMES, START))) == 1


def test_a_chain_goes_through_a_secrets_data_unchanged() -> None:
    assert Chain.of(MADE.data()) == MADE
    assert Chain.of({"tls.crt": b"x"}) is None


def test_what_a_clock_that_was_ahead_has_made_is_replaced_once_it_is_right_again() -> None:
    for ahead, kept in ((400, True), (4000, False)):
        made_ahead = certificates.renew(MADE, NAMES, START + dt.timedelta(days=ahead))
        now = certificates.renew(made_ahead, NAMES, START + dt.timedelta(minutes=1))
        serving = x509.load_pem_x509_certificate(now.certificate)
        assert max(one.not_valid_before_utc for one in (serving, *authorities(now))) <= START
        serving.verify_directly_issued_by(authorities(now)[0])
        assert (now.ca_bundle == MADE.ca_bundle) == kept
        assert certificates.renew(now, NAMES, START + dt.timedelta(minutes=2)) is now

import datetime as dt
import ssl

import pytest

from foresail_operator.scaling import certificates, front_proxy
from foresail_operator.scaling.front_proxy import FrontProxy, FrontProxyError

NO_CA = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
CA = certificates.renew(None, ("x",), dt.datetime.now(dt.UTC)).ca_bundle.decode()
PEER = {"subject": ((("organizationName", "k8s"),), (("commonName", "front-proxy-client"),))}


def config(**data: str) -> dict[str, dict[str, str]]:
    return {"data": {key.replace("_", "-"): value for key, value in data.items()}}


def test_the_aggregator_is_known_by_its_authority_and_names() -> None:
    read = front_proxy.read(
        config(requestheader_client_ca_file=CA, requestheader_allowed_names='["front-proxy-client"]')
    )
    assert read == FrontProxy(CA, frozenset({"front-proxy-client"}))
    assert read.admits(PEER)
    assert not read.admits({"subject": ((("commonName", "other"),),)})
    assert not read.admits(None)
    assert not read.admits({"subject": ()})


def test_without_names_any_certificate_of_the_authority_will_do() -> None:
    assert front_proxy.read(config(requestheader_client_ca_file=CA)).admits(PEER)


def test_words_around_the_authority_matter_to_nobody_whatever_their_letters() -> None:
    """As `openssl x509 -text` writes them; kube-apiserver reads past them too, and here they ended the operator."""
    chain = f"Issuer: O=Société Générale\n{CA}Issuer: O=Other\n{CA}# the end …\n"
    read = front_proxy.read(config(requestheader_client_ca_file=chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=read.ca_pem)
    assert read == FrontProxy(CA + CA, frozenset())


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"requestheader_client_ca_file": NO_CA},
        {"requestheader_client_ca_file": NO_CA.replace("x", "é")},
        {"requestheader_client_ca_file": NO_CA.rpartition("-----END")[0]},
        {"requestheader_client_ca_file": CA, "requestheader_allowed_names": "nonsense"},
    ],
    ids=["nobody", "no certificate", "no ASCII", "no end", "no list"],
)
def test_a_config_map_that_does_not_say_who_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(FrontProxyError, match="extension-apiserver-authentication"):
        front_proxy.read(config(**data))

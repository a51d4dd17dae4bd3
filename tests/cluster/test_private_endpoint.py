"""An endpoint with a certificate of a private CA, behind a proxy that alone knows its host.

So whatever reaches it has the endpoint, the CA bundle and the proxy from botocore's own settings, and whatever has one
of them not fails: the name has no address, and no other CA has signed the certificate.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from dev.wait import wait_until
from tests.support.operator import StartOperator, condition, delete, wait_gone, wait_ready
from tests.support.storeproxy import StoreProxy
from tests.support.tls import make_certificate
from tests.support.world import NewObject, World

# moto takes the first part of a name with a dot for the name of a bucket.
HOST = "store"
# Of the operator, and of the runs: botocore, amazon.aws's modules, and the role's own.
SERVICES = {"s3", "iam", "sts"}


def test_every_client_reaches_a_private_endpoint_through_a_proxy(
    world: World, start_operator: StartOperator, new_object: NewObject, new_name: Callable[[str], str],
    tmp_path: Path,
) -> None:  # fmt: skip
    bucket = new_name("bucket")
    certificate, bundle = make_certificate(tmp_path, HOST)
    endpoints = dict.fromkeys(SERVICES, world.aws.endpoint_url)
    with StoreProxy(endpoints, certificate=certificate) as proxy:
        environment = world.environment(
            AWS_ENDPOINT_URL=f"https://{HOST}",
            AWS_CA_BUNDLE=str(bundle),
            AWS_REQUEST_CHECKSUM_CALCULATION="when_required",
            HTTPS_PROXY=proxy.url,
            # The API server's certificate is of another CA, and it is reached without the proxy.
            NO_PROXY=str(urlsplit(world.core.api_client.configuration.host).hostname),
            SERVICE_EXTERNAL_NAME=HOST,
        )
        operator = start_operator("--verify-credentials", "--verify-period=1", environment=environment)
        cr = new_object(bucketName=bucket, verify="ReadWrite", enableVersioning=True, secret={"layout": "Env"})
        wait_ready(world, cr)
        wait_until(lambda: condition(world, cr, "CredentialsVerified").get("status") == "True", "the verified key")
        service, secret = world.service(cr), world.secret(cr)
        assert service is not None
        assert secret is not None
        assert service["spec"]["externalName"] == HOST
        words = ["check", "--watch-namespace", cr["metadata"]["namespace"], "--wait", "0"]
        checked = subprocess.run(
            [Path(sys.executable).parent / "s3-operator", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "ok      AWS: account" in checked.stdout, checked.stdout + checked.stderr
        world.s3.put_object(Bucket=bucket, Key="a", Body=b"x")
        delete(world, cr)
        wait_gone(world, cr)
        assert operator.stop() == 0
    assert {request.service for request in proxy.requests} == SERVICES
    of_bucket = [request for request in proxy.requests if bucket in request.path]
    required = [request for request in of_bucket if request.method == "POST" or "?versioning" in request.path]
    headers = [{name.lower() for name in request.headers} for request in required if request.body]
    assert headers
    assert all("content-md5" in names and "x-amz-checksum-crc32" not in names for names in headers)

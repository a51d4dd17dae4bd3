"""An IAM user is deleted with the fewest requests, and with whatever others gave it meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.aws import Aws
from s3bucket import user_deletion
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason, Retry
from tests.support.objects import writes_in
from tests.support.world import World, code_of, requests_of

POLICY = "photos"
DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
SSH_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC photos"


@pytest.fixture
def iam(aws: Aws) -> Any:
    return aws.client("iam")


@pytest.fixture
def user(iam: Any, new_name: Callable[[str], str]) -> str:
    """A user with one policy, and without a key."""
    name = new_name("user")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=POLICY, PolicyDocument=json.dumps(DOCUMENT))
    return name


@pytest.fixture
def limited(world: World) -> Any:
    """A client with the rights of the printed policy."""
    key_id, secret = (
        world.operator_file.read_text().split("aws_access_key_id = ")[1].split("\naws_secret_access_key = ")
    )
    return world.aws.client("iam", aws_access_key_id=key_id, aws_secret_access_key=secret.split()[0])


def make_key(iam: Any, user: str) -> str:
    return str(iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"])


def is_there(iam: Any, user: str) -> bool:
    return code_of(lambda: iam.get_user(UserName=user)) == "allowed"


def test_user_with_what_is_on_record_is_deleted_without_a_read(world: World, iam: Any, user: str) -> None:
    key = make_key(iam, user)
    with requests_of(world) as requests:
        assert user_deletion.delete(iam, user, keys=[key], policies=[POLICY])
    assert [item["action"] for item in requests] == ["DeleteAccessKey", "DeleteUserPolicy", "DeleteUser"]
    assert not is_there(iam, user)


def test_user_that_does_not_exist_is_no_change(iam: Any, new_name: Callable[[str], str]) -> None:
    assert not user_deletion.delete(iam, new_name("user"), keys=["AKIAIOSFODNN7EXAMPLE"], policies=[POLICY])


def add_key(iam: Any, user: str) -> None:
    make_key(iam, user)


def add_policy(iam: Any, user: str) -> None:
    iam.put_user_policy(UserName=user, PolicyName="of-others", PolicyDocument=json.dumps(DOCUMENT))


def attach_policy(iam: Any, user: str) -> None:
    iam.attach_user_policy(UserName=user, PolicyArn=QUARANTINE)


def add_to_group(iam: Any, user: str) -> None:
    iam.create_group(GroupName=f"group-{user}")
    iam.add_user_to_group(GroupName=f"group-{user}", UserName=user)


def add_password(iam: Any, user: str) -> None:
    iam.create_login_profile(UserName=user, Password="Kx8-photos-of-a-test")


def add_mfa_device(iam: Any, user: str) -> None:
    serial = iam.create_virtual_mfa_device(VirtualMFADeviceName=user)["VirtualMFADevice"]["SerialNumber"]
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "234567"}
    iam.enable_mfa_device(UserName=user, SerialNumber=serial, **codes)


def add_ssh_key(iam: Any, user: str) -> None:
    iam.upload_ssh_public_key(UserName=user, SSHPublicKeyBody=SSH_KEY)


def add_certificate(iam: Any, user: str) -> None:
    iam.upload_signing_certificate(UserName=user, CertificateBody=make_certificate())


def make_certificate() -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "photos")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


ORDINARY = (add_key, add_policy, attach_policy, add_to_group)
OF_PEOPLE = (add_password, add_mfa_device, add_ssh_key, add_certificate)


@pytest.mark.parametrize("add", [*ORDINARY, *OF_PEOPLE])
def test_what_others_added_is_deleted_with_the_user(iam: Any, user: str, add: Callable[[Any, str], None]) -> None:
    key = make_key(iam, user)
    add(iam, user)
    assert code_of(lambda: iam.delete_user(UserName=user)) == "DeleteConflict"
    assert user_deletion.delete(iam, user, keys=[key], policies=[POLICY])
    assert not is_there(iam, user)


def test_two_keys_and_a_policy_that_were_never_on_record_are_deleted(iam: Any, user: str) -> None:
    make_key(iam, user)
    make_key(iam, user)
    assert user_deletion.delete(iam, user)
    assert not is_there(iam, user)


@pytest.mark.parametrize("add", OF_PEOPLE[:2])
def test_password_or_device_that_the_operator_may_not_delete_is_reported_and_the_keys_are_gone(
    iam: Any, limited: Any, user: str, add: Callable[[Any, str], None]
) -> None:
    add(iam, user)
    make_key(iam, user)
    with pytest.raises(ReconcileError, match="Cannot delete entity, must delete") as refused:
        user_deletion.delete(limited, user)
    assert refused.value.reason == Reason.ACCESS_DENIED
    assert "a password or an MFA device, delete that" in refused.value.message
    for action in ("ListSSHPublicKeys", "ListMFADevices", "ListSigningCertificates", "DeleteLoginProfile"):
        assert f"iam:{action}" in refused.value.message
    assert iam.list_access_keys(UserName=user)["AccessKeyMetadata"] == []


@contextmanager
def conflict(world: World, user: str, must: str) -> Iterator[None]:
    """DeleteUser is refused with the text of AWS, whatever the user has."""
    message = f"Cannot delete entity, must {must} first."
    world.aws.gate.add_fault("DeleteUser", "DeleteConflict", status=409, user=user, message=message)
    try:
        yield
    finally:
        world.aws.gate.clear_faults()


@pytest.mark.parametrize("must", ["delete access keys", "delete policies", "detach all policies"])
def test_conflict_about_what_was_deleted_before_is_tried_again_with_the_least_rights(
    iam: Any, world: World, limited: Any, user: str, must: str
) -> None:
    """IAM is eventually consistent. That others' credentials cannot be read is not the cause."""
    iam.delete_user_policy(UserName=user, PolicyName=POLICY)
    with conflict(world, user, must), pytest.raises(ReconcileError, match=must) as refused:
        user_deletion.delete(limited, user, policies=[POLICY])
    assert refused.value.reason == Reason.WAITING_FOR_IAM
    assert "DeleteConflict" in refused.value.message
    assert "AWS may not know yet" in refused.value.message
    assert "password" not in refused.value.message
    assert user_deletion.delete(limited, user)


@pytest.mark.parametrize("is_on_record", [True, False])
def test_unclear_conflict_is_one_of_what_others_gave_only_when_nothing_was_just_deleted(
    world: World, limited: Any, user: str, is_on_record: bool
) -> None:
    with conflict(world, user, "remove referenced objects"):
        with pytest.raises(ReconcileError) as refused:
            user_deletion.delete(limited, user, policies=[POLICY] if is_on_record else [])
        assert refused.value.reason == Reason.WAITING_FOR_IAM
        with pytest.raises(ReconcileError, match="remove referenced objects") as refused:
            user_deletion.delete(limited, user, policies=[POLICY])
    assert refused.value.reason == Reason.ACCESS_DENIED
    assert refused.value.retry == Retry.TRANSIENT
    assert "iam:ListMFADevices" in refused.value.message


@pytest.mark.parametrize("action", ["ListAccessKeys", "ListGroupsForUser", "DeleteUserPolicy"])
def test_denied_request_after_a_conflict_names_both(world: World, limited: Any, user: str, action: str) -> None:
    with conflict(world, user, "delete policies"):
        world.aws.gate.add_fault(action, "AccessDenied", status=403, user=user)
        with pytest.raises(ReconcileError) as refused:
            user_deletion.delete(limited, user)
    assert refused.value.reason == Reason.ACCESS_DENIED
    assert "(DeleteConflict)" in refused.value.message
    assert action in refused.value.message


def test_conflict_that_stays_is_tried_again_later(world: World, iam: Any, user: str) -> None:
    """As while IAM is not consistent: nothing is left, and the answer is the same."""
    world.aws.gate.add_fault("DeleteUser", "DeleteConflict", status=409, user=user)
    try:
        with pytest.raises(ReconcileError) as refused:
            user_deletion.delete(iam, user, policies=[POLICY])
    finally:
        world.aws.gate.clear_faults()
    assert (refused.value.reason, refused.value.retry) == ("WaitingForIAM", "transient")
    assert user_deletion.delete(iam, user)


def test_denied_deletion_of_a_key_deletes_nothing_else(world: World, iam: Any, user: str) -> None:
    key = make_key(iam, user)
    world.aws.gate.add_fault("DeleteAccessKey", "AccessDenied", status=403, user=user)
    try:
        with requests_of(world) as requests, pytest.raises(ReconcileError) as refused:
            user_deletion.delete(iam, user, keys=[key], policies=[POLICY])
    finally:
        world.aws.gate.clear_faults()
    assert (refused.value.reason, writes_in(requests)) == ("AccessDenied", ["DeleteAccessKey"])

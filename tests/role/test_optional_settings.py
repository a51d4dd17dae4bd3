"""Settings that are managed only while the spec has them.

They are applied, recorded and cleared. Without a value in the spec or a record, they are not even read. The values are
those of examples/settings/.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dev.examples import example_fields, make_targets
from s3bucket import owner, read
from s3bucket.clients import remove_account
from s3bucket.setting import Call, Comparison, Setting
from s3bucket.settings import BY_NAME
from tests.support.objects import tags_of
from tests.support.settings import OPTIONAL, reads_of_others
from tests.support.world import CLUSTER, NewObject, World, requests_of

each_setting = pytest.mark.parametrize("setting", OPTIONAL, ids=lambda setting: setting.name)


@pytest.fixture(scope="module", autouse=True)
def _targets(world: World) -> None:
    make_targets(world.s3, world.account)


def value_of(setting: Setting) -> Any:
    """The setting's value in its example."""
    return example_fields(setting.name)[setting.field]


def others_of(setting: Setting) -> dict[str, Any]:
    """The other fields that the setting needs."""
    return {name: value for name, value in example_fields(setting.name).items() if name != setting.field}


def found(world: World, cr: dict[str, Any], setting: Setting) -> Any:
    """The setting that AWS returns, in the form that is compared."""
    value = read.read_settings(world.s3, cr["spec"]["bucketName"], world.account)[setting.name]
    return setting.canonical(value)


def record(world: World, cr: dict[str, Any]) -> frozenset[str]:
    """The optional settings that the bucket's tags record."""
    return owner.recorded_settings(read.get_bucket_tags(world.s3, cr["spec"]["bucketName"], world.account) or {})


def due_calls(world: World, cr: dict[str, Any], setting: Setting) -> list[Call]:
    """The requests that a run of the role makes for the setting now."""
    current = read.read_settings(world.s3, cr["spec"]["bucketName"], world.account)
    return setting.calls(setting.argument(Comparison(world.wanted(cr), current)))


def write(world: World, cr: dict[str, Any], setting: Setting) -> None:
    """Write the example's value as another user would."""
    asking = {**cr, "spec": {**cr["spec"], setting.field: value_of(setting)}}
    for call in due_calls(world, asking, setting):
        getattr(world.s3, call.operation.method)(Bucket=cr["spec"]["bucketName"], **call.arguments)


def reads_of(world: World, cr: dict[str, Any], setting: Setting) -> int:
    with requests_of(world) as requests:
        assert world.differs(cr) == []
    return [request["action"] for request in requests].count(setting.read.operation.name)


@pytest.fixture(scope="module")
def plain_objects(world: World, new_name: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    """Ready objects without optional settings: one that tests leave so, and one on which others make settings."""
    namespace = new_name("ns")
    world.make_namespace(namespace)
    made = {}
    for word in ("managed", "others"):
        spec = {"region": "us-east-1", "bucketName": new_name(word), "iamUser": {"username": new_name(word)}}
        made[word] = world.make_object(namespace, word, spec)
        assert world.reconcile(made[word]).outcome["reason"] == "Ready"
    return made


@pytest.fixture
def ready_object(
    request: pytest.FixtureRequest, world: World, plain_objects: dict[str, dict[str, Any]], setting: Setting
) -> dict[str, Any]:
    """A Ready object without the setting: one of its own for a setting that needs other fields."""
    if not others_of(setting):
        return copy.deepcopy(plain_objects[request.param])
    cr: dict[str, Any] = request.getfixturevalue("new_object")(**others_of(setting))
    assert world.reconcile(cr).outcome["reason"] == "Ready"
    return cr


@each_setting
@pytest.mark.parametrize("ready_object", ["managed"], indirect=True)
def test_setting_is_applied_and_cleared_once_it_is_taken_out_of_the_spec(
    world: World, ready_object: dict[str, Any], setting: Setting
) -> None:
    cr = ready_object
    assert reads_of(world, cr, setting) == reads_of_others(setting)
    cr["spec"][setting.field] = value_of(setting)
    wanted = setting.canonical(setting.parse(value_of(setting)))
    assert wanted != setting.canonical(setting.new_bucket), "the example asks for something"
    run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("Ready", [setting.name, "tags"]), run.output
    assert (found(world, cr, setting), record(world, cr)) == (wanted, {setting.name, *setting.more_parts})
    assert reads_of(world, cr, setting) == 1
    del cr["spec"][setting.field]
    run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("Ready", [setting.name, "tags"]), run.output
    assert (found(world, cr, setting), record(world, cr)) == (setting.canonical(setting.new_bucket), frozenset())
    assert reads_of(world, cr, setting) == reads_of_others(setting)


@each_setting
@pytest.mark.parametrize("ready_object", ["others"], indirect=True)
def test_setting_that_others_made_on_a_bucket_is_left_alone(
    world: World, ready_object: dict[str, Any], setting: Setting
) -> None:
    cr = ready_object
    write(world, cr, setting)
    before = found(world, cr, setting)
    assert before != setting.canonical(setting.new_bucket), "the example asks for something"
    assert world.differs(cr) == []
    assert world.reconcile(cr).changed == []
    assert found(world, cr, setting) == before


@each_setting
def test_setting_is_recorded_by_the_call_that_creates_the_bucket_and_until_it_is_cleared(
    world: World, new_object: NewObject, setting: Setting
) -> None:
    cr = new_object(**example_fields(setting.name))
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert (run.outcome["reason"], world.differs(cr)) == ("Ready", []), run.output
    assert found(world, cr, setting) == setting.canonical(setting.parse(value_of(setting)))
    writes = [request["action"] for request in requests if request["write"]]
    assert record(world, cr) == {setting.name, *setting.more_parts}
    assert "PutBucketTagging" not in writes

    # It cannot be cleared: it stays on record.
    del cr["spec"][setting.field]
    bucket = cr["spec"]["bucketName"]
    calls = due_calls(world, cr, setting)
    world.aws.gate.add_fault(calls[0].operation.name, "AccessDenied", status=403, bucket=bucket)
    try:
        assert world.reconcile(cr).outcome["reason"] == "AccessDenied"
        assert record(world, cr) == {setting.name, *setting.more_parts}
    finally:
        world.aws.gate.clear_faults()
    run = world.reconcile(cr)
    assert (run.outcome["reason"], record(world, cr)) == ("Ready", frozenset()), run.output
    assert found(world, cr, setting) == setting.canonical(setting.new_bucket)


@pytest.mark.parametrize("operation", ["GetBucketCors", "PutBucketCors"])
def test_setting_that_the_endpoint_lacks_is_named_and_all_else_is_applied(
    world: World, new_object: NewObject, operation: str
) -> None:
    cr = new_object(enableVersioning=True, tags={"team": "photos"}, **example_fields("cors"))
    bucket = cr["spec"]["bucketName"]
    world.aws.gate.add_fault(operation, "NotImplemented", status=501, bucket=bucket)
    try:
        for _ in ("new bucket", "existing bucket"):
            run = world.reconcile(cr)
            assert run.outcome["reason"] == "InvalidSpec", run.output
            assert run.outcome["message"].startswith(f"spec.corsRules: {world.aws.endpoint_url} does not support it")
        assert world.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        world.tenant(cr).put_object(Bucket=bucket, Key="probe", Body=b"x")
    finally:
        world.aws.gate.clear_faults()
    run = world.reconcile(cr)
    assert (run.outcome["reason"], world.differs(cr)) == ("Ready", []), run.output


def test_store_that_does_not_know_a_list_of_configurations_gets_no_write_of_it(
    world: World, new_object: NewObject
) -> None:
    # Such a store takes PUT ?metrics for CreateBucket, and DELETE ?metrics for DeleteBucket.
    cr = new_object(**example_fields("metrics"))
    body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    world.aws.gate.add_fault("ListBucketMetricsConfigurations", body=body, bucket=cr["spec"]["bucketName"])
    try:
        with requests_of(world) as requests:
            run = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert run.outcome["reason"] == "InvalidSpec", run.output
    assert run.outcome["message"].startswith(f"spec.metrics: {world.aws.endpoint_url} does not support it")
    assert "PutBucketMetricsConfiguration" not in [request["action"] for request in requests]
    assert world.reconcile(cr).outcome["reason"] == "Ready"


def test_adopted_bucket_has_exactly_the_configurations_of_a_list_that_is_given(
    world: World, new_object: NewObject
) -> None:
    cr = new_object(adoptionPolicy="IfExists", metrics=[{"id": "mine"}])
    bucket = cr["spec"]["bucketName"]
    identity = f"{CLUSTER}/{cr['metadata']['namespace']}/{cr['metadata']['name']}"
    consent = {"TagSet": [{"Key": "agill.apps/adopt", "Value": identity}]}
    world.s3.create_bucket(Bucket=bucket)
    world.s3.put_bucket_tagging(Bucket=bucket, Tagging=consent)
    analysis = {"Id": "other", "StorageClassAnalysis": {}}
    world.s3.put_bucket_metrics_configuration(Bucket=bucket, Id="other", MetricsConfiguration={"Id": "other"})
    world.s3.put_bucket_analytics_configuration(Bucket=bucket, Id="other", AnalyticsConfiguration=analysis)
    run = world.reconcile(cr)
    assert run.outcome["reason"] == "Ready", run.output
    metrics = world.s3.list_bucket_metrics_configurations(Bucket=bucket)["MetricsConfigurationList"]
    analytics = world.s3.list_bucket_analytics_configurations(Bucket=bucket)["AnalyticsConfigurationList"]
    assert (metrics, analytics) == ([{"Id": "mine"}], [analysis])
    assert record(world, cr) == {"metrics"}


def test_setting_that_the_endpoint_lacks_and_nobody_requests_is_no_problem(world: World, new_object: NewObject) -> None:
    cr = new_object()
    bucket = cr["spec"]["bucketName"]
    world.aws.gate.add_fault("GetBucketAccelerateConfiguration", "MethodNotAllowed", status=405, bucket=bucket)
    try:
        assert world.reconcile(cr).outcome["reason"] == "Ready"
        assert world.differs(cr) == []
    finally:
        world.aws.gate.clear_faults()


def test_status_names_the_optional_settings_without_their_values(world: World, new_object: NewObject) -> None:
    cr = new_object(requesterPays=True, **example_fields("cors"))
    effective = world.reconcile(cr).outcome["status"]["effective"]
    assert effective["managedSettings"] == ["corsRules", "requesterPays"]
    assert "corsRules" not in effective


def test_value_that_aws_refuses_is_named_by_its_field(world: World, new_object: NewObject) -> None:
    cr = new_object(**example_fields("cors"))
    world.aws.gate.add_fault("PutBucketCors", "InvalidRequest", bucket=cr["spec"]["bucketName"])
    try:
        outcome = world.reconcile(cr).outcome
    finally:
        world.aws.gate.clear_faults()
    assert (outcome["reason"], outcome["message"][:36]) == ("InvalidSpec", "spec.corsRules: AWS refuses it: fail")


def test_tags_of_a_bucket_with_abac_are_maintained(world: World, new_object: NewObject) -> None:
    """Whoever has the bucket's key may enable ABAC. AWS then refuses PutBucketTagging."""
    cr = new_object(tags={"team": "photos", "old": "1"})
    bucket = cr["spec"]["bucketName"]
    assert world.reconcile(cr).outcome["reason"] == "Ready"
    resource = {"AccountId": world.account, "ResourceArn": f"arn:aws:s3:::{bucket}"}
    world.tenant(cr).put_bucket_abac(Bucket=bucket, AbacStatus={"Status": "Enabled"})
    control = world.aws.client("s3control")
    control.meta.events.register("before-call.s3-control", remove_account)
    control.tag_resource(**resource, Tags=[{"Key": "agill.apps/uid", "Value": "edited"}])
    control.untag_resource(**resource, TagKeys=["team", "agill.apps/cluster"])
    del cr["spec"]["tags"]["old"]
    run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("Conflict", []), "without the cluster tag it is not this object's"
    control.tag_resource(**resource, Tags=[{"Key": "agill.apps/cluster", "Value": CLUSTER}])
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("Ready", ["tags"]), run.output
    found = tags_of(world, cr)
    assert (found["team"], found["agill.apps/uid"], "old" in found) == ("photos", cr["metadata"]["uid"], False)
    writes = [request["action"] for request in requests if request["write"]]
    assert writes == ["PutBucketTagging", "UntagResource", "TagResource"]


def test_ownership_that_the_acl_needs_is_not_recorded_and_the_one_of_others_is_kept(
    world: World, new_object: NewObject
) -> None:
    cr = new_object(bucketACL="public-read")
    assert (world.reconcile(cr).outcome["reason"], world.differs(cr), record(world, cr)) == ("Ready", [], frozenset())
    assert found(world, cr, BY_NAME["ownership"]) == "BucketOwnerPreferred"
    controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    world.s3.put_bucket_ownership_controls(Bucket=cr["spec"]["bucketName"], OwnershipControls=controls)
    assert world.differs(cr) == []


def test_metadata_tables_that_aws_cannot_create_are_an_error_and_all_else_is_applied(
    world: World, new_object: NewObject
) -> None:
    cr = new_object(**example_fields("metadata_tables"))
    bucket = cr["spec"]["bucketName"]
    assert (world.reconcile(cr).outcome["reason"], world.differs(cr)) == ("Ready", []), "AWS is creating them"
    cr["spec"]["enableVersioning"] = True
    with world.aws.gate.marked("failed-tables", bucket):
        run = world.reconcile(cr)
        assert (run.outcome["reason"], run.changed) == ("InvalidSpec", ["versioning"]), run.output
        expected = "spec.metadataTables: AWS failed on the journal table: You don't have sufficient permissions "
        assert run.outcome["message"].startswith(expected)
        # Without the field the configuration is deleted, as AWS asks for.
        value = cr["spec"].pop("metadataTables")
        run = world.reconcile(cr)
        assert (run.outcome["reason"], run.changed) == ("Ready", ["metadata_tables", "tags"]), run.output
    cr["spec"]["metadataTables"] = value
    assert (world.reconcile(cr).outcome["reason"], world.differs(cr)) == ("Ready", [])

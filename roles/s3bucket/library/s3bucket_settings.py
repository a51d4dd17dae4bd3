#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_settings
short_description: Write the settings of an S3 object's bucket that differ
description:
  - Writes what C(s3bucket_info) or C(s3bucket_create) found to differ, each setting with one call. After a
    failure the other settings are still written; the module then fails with the first failure.
  - C(amazon.aws.s3_bucket) waits up to a minute, sometimes two, until AWS returns what was sent. AWS returns many
    policies in another form, and whoever has the bucket's key can change tags and versioning in that time. So each run
    would block a worker for that long. This module does not wait.
  - Every call has the account that the bucket must be in.
author: s3-operator contributors
options:
  cr:
    description: The S3 object as JSON text.
    type: str
    required: true
  settings:
    description: The role's settings as JSON text, as C(s3bucket_info) returns them.
    type: str
    default: "{}"
  defaults:
    description: A value for each optional field of the spec.
    type: dict
    required: true
  bucket_owner:
    description: The account that must own the bucket (ExpectedBucketOwner). Empty for a store that compares none.
    type: str
    required: true
  arguments:
    description:
      - The settings to write, by their names (a file of C(module_utils/s3bucket/settings) each); C(tags), and
        C(purge_tags) for whether other tags are removed; C(unsupported), the names of settings that the spec requests
        and the endpoint does not have, and C(unread), why settings could not be read, both for the error.
    type: dict
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Enable versions
  s3bucket_settings:
    cr: "{{ s3bucket_cr | to_json }}"
    settings: "{{ seen.settings }}"
    defaults: "{{ s3bucket_defaults }}"
    bucket_owner: "123456789012"
    arguments: {versioning: true}
"""

RETURN = r"""
user_tags:
  description: The tags that were put on the IAM user. They record what AWS made of the policy.
  type: dict
  returned: always
s3bucket_reason:
  description: Why a setting could not be written.
  type: str
  returned: failure
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ansible.module_utils.s3bucket import owner
from ansible.module_utils.s3bucket.aspects import extended_record
from ansible.module_utils.s3bucket.capabilities import bucket_arguments
from ansible.module_utils.s3bucket.clients import make_s3_client, make_tagging_client, refuse
from ansible.module_utils.s3bucket.errors import AWS_ERRORS, ReconcileError, code_of, unknown
from ansible.module_utils.s3bucket.module import make_iam_client, make_module, read_settings, read_wanted, tag_user
from ansible.module_utils.s3bucket.outcome import Reason
from ansible.module_utils.s3bucket.policy import is_same_text, names_entity, names_principal, record_of
from ansible.module_utils.s3bucket.read import find_bucket_policy, get_bucket_tags, listed
from ansible.module_utils.s3bucket.role_settings import RoleSettings
from ansible.module_utils.s3bucket.setting import Operation, Setting
from ansible.module_utils.s3bucket.settings import ALL, BY_NAME
from ansible.module_utils.s3bucket.spec import Wanted, check_tag_count
from ansible.module_utils.s3bucket.steps import STOPS
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel: "Bucket configurations have an
# eventual consistency model." A bucket that was just created may be unknown to the next call.
_PUT_TAGS = Operation("put_bucket_tagging", "s3:PutBucketTagging")
# For some time after a configuration was deleted, the list of them may still have it.
_ALREADY_DELETED = "NoSuchConfiguration"
_LAG_CODES = ("NoSuchBucket", "OperationAborted")
_LAG_PAUSES_S = (0.5, 1.0, 2.0)
# For this time after its creation, S3 may not know a user or role. The operator tries again every few seconds.
_NEW_USER_S = 60


class Settings:
    """Writes settings of one bucket.

    :ivar user_tags: the tags that were put on the IAM user
    """

    def __init__(self, module: AnsibleAWSModule, wanted: Wanted, given: RoleSettings) -> None:
        self._module = module
        self._capabilities = given.known_capabilities
        self._s3 = make_s3_client(module)
        self._iam = make_iam_client(module, given)
        self._wanted = wanted
        self._rules = given.rules
        self._name = wanted.bucket
        self._owner = str(module.params["bucket_owner"])
        self._endpoint = str(self._s3.meta.endpoint_url)
        self._bucket = bucket_arguments(self._name, self._owner)
        # The bucket's own record is used for an object without a user.
        self._record = ""
        self.user_tags: dict[str, str] = {}

    def write(self, arguments: dict[str, Any]) -> ReconcileError | None:
        """Write all settings, in their order. Return the first problem."""
        problems: list[ReconcileError] = []
        chosen = [setting for setting in ALL if setting.name in arguments]
        due = sorted(chosen, key=lambda setting: setting.write_order(arguments[setting.name]))
        # What is to be cleared is on record. What follows from another field never is.
        given = [setting for setting in due if setting.is_optional and self._wanted.settings[setting.name] is not None]
        self._try(problems, self._record_optional, [setting.name for setting in given])
        # Without its record, a setting that is later removed from the spec would never be cleared.
        for setting in due if not problems else [setting for setting in due if setting not in given]:
            write = self._write_policy if setting.name == "policy" else partial(self._write, setting)
            self._try(problems, write, arguments[setting.name])
        problems += [BY_NAME[name].unsupported(self._endpoint) for name in arguments.get("unsupported", [])]
        problems += [ReconcileError(Reason.ACCESS_DENIED, message) for message in arguments.get("unread", [])]
        if problems and self._wanted.is_deleting:
            # A retained bucket loses its owner tags only after everything else has succeeded.
            return problems[0]
        if "tags" in arguments or self._record:
            purges, is_complete = bool(arguments.get("purge_tags")), not problems
            self._try(problems, lambda tags: self._write_tags(tags, purges, is_complete), arguments.get("tags", {}))
        return problems[0] if problems else None

    @staticmethod
    def _try(problems: list[ReconcileError], write: Callable[[Any], None], value: Any) -> None:
        if any(problem.reason in STOPS for problem in problems):
            return
        try:
            write(value)
        except ReconcileError as refusal:
            problems.append(refusal)

    def _call(self, operation: Operation, arguments: dict[str, Any], lag_texts: tuple[str, ...] = ()) -> None:
        for pause_s in (*_LAG_PAUSES_S, None):
            try:
                getattr(self._s3, operation.method)(**self._bucket, **arguments)
                return
            except AWS_ERRORS as error:
                is_lag = code_of(error) in _LAG_CODES or any(text in str(error) for text in lag_texts)
                if pause_s is None or not is_lag:
                    raise unknown(f"write the settings of bucket {self._name} ({operation.action})", error) from error
            time.sleep(pause_s)

    def _write(self, setting: Setting, value: Any) -> None:
        for call in setting.calls(value):
            try:
                self._call(call.operation, call.arguments, setting.lag_texts)
            except ReconcileError as refusal:
                if code_of(refusal.__cause__ or refusal) == _ALREADY_DELETED:
                    continue
                raise setting.refused(refusal, self._endpoint) from refusal

    def _record_optional(self, names: list[str]) -> None:
        """Record in the bucket's tags which optional settings this run writes, before it writes any.

        Without the record, a setting that is removed from the spec after a run was killed would never be cleared.
        """
        found = (get_bucket_tags(self._s3, self._name, self._owner) or {}) if names else {}
        record = extended_record(self._wanted, found, names)
        if record:
            self._put_tags(found, {**found, owner.SETTINGS: record})

    def _write_tags(self, tags: dict[str, str], purges: bool, is_complete: bool) -> None:
        found = get_bucket_tags(self._s3, self._name, self._owner) or {}
        new = {**({} if purges else found), **tags}
        if self._record:
            new[owner.POLICY] = self._record
        if not is_complete:
            # Settings that the creation should have applied, or that should have been cleared, are still to be done.
            new |= {key: found[key] for key in (owner.INITIAL, owner.SETTINGS) if key in found}
        if new != found:
            self._put_tags(found, new)

    def _put_tags(self, found: dict[str, str], new: dict[str, str]) -> None:
        # AWS's answer is BadRequest, which does not name the field.
        check_tag_count(self._name, new)
        try:
            self._call(_PUT_TAGS, {"Tagging": {"TagSet": listed(new)}})
        except ReconcileError:
            if not self._has_abac():
                raise
            self._put_tags_with_abac(found, new)

    def _has_abac(self) -> bool:
        """Whether ABAC is enabled. Whoever has the bucket's key may enable it."""
        try:
            found = BY_NAME["abac"].read.take(self._s3.get_bucket_abac(**self._bucket))
        except AWS_ERRORS:
            return False
        return bool(found)

    def _put_tags_with_abac(self, found: dict[str, str], new: dict[str, str]) -> None:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html
        control, resource = (
            make_tagging_client(self._module),
            {"AccountId": self._owner, "ResourceArn": self._wanted.bucket_arn},
        )
        added = {key: value for key, value in new.items() if found.get(key) != value}
        removed = [key for key in found if key not in new]
        try:
            # Removed first: a bucket can have 50 tags.
            if removed:
                control.untag_resource(**resource, TagKeys=removed)
            if added:
                control.tag_resource(**resource, Tags=listed(added))
        except AWS_ERRORS as error:
            raise unknown(f"tag bucket {self._name} (s3:TagResource, s3:UntagResource)", error) from error

    def _write_policy(self, policy: dict[str, Any]) -> None:
        if not policy:
            self._write(BY_NAME["policy"], policy)
            return
        before = find_bucket_policy(self._s3, self._name, self._owner)
        try:
            self._write(BY_NAME["policy"], policy)
        except ReconcileError as refusal:
            raise self._explain(refusal, policy) from refusal
        record = self._record_answer(policy, before)
        if not record:
            return
        if not self._wanted.username:
            self._record = record
            return
        # A key that the operator created may write the bucket's tags, but nothing in IAM.
        tags = {owner.POLICY: record}
        tag_user(self._iam, self._wanted.username, tags, self._capabilities)
        self.user_tags = tags

    def _record_answer(self, policy: dict[str, Any], before: str | None) -> str:
        """The record of what AWS made of the policy; empty where AWS changed nothing, or does not return it yet.

        A policy that names users or roles is always recorded. AWS may later return their unique ids, and then only the
        record shows that this policy, and not another one, was written.
        """
        answer, is_recorded = None, names_entity(policy)
        for pause_s in (0.0, *_LAG_PAUSES_S):
            time.sleep(pause_s)
            answer = find_bucket_policy(self._s3, self._name, self._owner)
            if is_same_text(answer, policy):
                return record_of(policy, answer) if answer is not None and is_recorded else ""
            # An unchanged answer may be an old one, or the form that AWS has given this same policy before.
            if answer is not None and answer != before:
                break
        return record_of(policy, answer) if answer is not None else ""

    def _explain(self, refusal: ReconcileError, policy: dict[str, Any]) -> ReconcileError:
        """Explain why AWS refuses a policy."""
        text = refusal.message
        awaited = self._find_awaited(policy) if "Invalid principal" in text else ""
        if awaited:
            return ReconcileError(
                Reason.WAITING_FOR_IAM, f"S3 does not know {awaited} yet, which spec.bucketPolicy names"
            )
        if "BlockPublicPolicy" in text:
            return ReconcileError(
                Reason.INVALID_SPEC,
                f"spec.bucketPolicy: Block Public Access, of the bucket or of the AWS account, refuses it: {text}",
            )
        return refusal

    def _find_awaited(self, policy: dict[str, Any]) -> str:
        """A user or the role of the object that a policy names and that S3 may not know yet; empty for none.

        Additional users and the role are created after the bucket's settings are written.
        """
        wanted, text = self._wanted, json.dumps(policy)
        named = [("user", user.username) for user in wanted.users]
        named += [("role", wanted.role.name)] if wanted.role else []
        for kind, name in named:
            if name in text and self._is_named(policy, kind, name):
                return f"IAM {kind} {name}"
        return ""

    def _is_named(self, policy: dict[str, Any], kind: str, name: str) -> bool:
        arn = self._arn_if_new(kind, name)
        return bool(arn) and names_principal(policy, arn)

    def _arn_if_new(self, kind: str, name: str) -> str:
        """The ARN of a user or role that was created within the last minute, or is to be created; else empty."""
        try:
            if kind == "user":
                found: dict[str, Any] = self._iam.get_user(UserName=name)["User"]
            else:
                found = self._iam.get_role(RoleName=name)["Role"]
        except AWS_ERRORS as error:
            if code_of(error) == "NoSuchEntity":
                return self._rules.arn_of(self._wanted.partition, self._account, name, kind=kind)
            raise unknown(f"read IAM {kind} {name} (iam:Get{kind.capitalize()})", error) from error
        # SeaweedFS does not return it.
        created = found.get("CreateDate")
        is_new = created is not None and (datetime.now(UTC) - created).total_seconds() < _NEW_USER_S
        return str(found["Arn"]) if is_new else ""

    @property
    def _account(self) -> str:
        """The account in ARNs. AWS compares it as the owner of buckets; a store may compare another id, or none."""
        found = self._capabilities
        return self._owner if found is None or found.is_aws else found.account


def main() -> None:
    """Run the module."""
    module = make_module(bucket_owner={"type": "str", "required": True}, arguments={"type": "dict", "required": True})
    try:
        given = read_settings(module.params["settings"])
        wanted = read_wanted(module, given)
    except ReconcileError as refusal:
        refuse(module, refusal)
    if module.check_mode:
        module.exit_json(changed=True, user_tags={})
    settings = Settings(module, wanted, given)
    problem = settings.write(module.params["arguments"])
    if problem is not None:
        module.fail_json(msg=problem.message, s3bucket_reason=problem.reason.value, user_tags=settings.user_tags)
    module.exit_json(changed=True, user_tags=settings.user_tags)


if __name__ == "__main__":
    main()

"""The events that wake a function, as AWS writes them, letter by letter.

测试各种触发事件的解析。
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import WAKE, Help, ObjectsCreated, Timer, Wake, help_event, parse

SCHEDULER = """
{
  "version": "0",
  "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
  "detail-type": "Scheduled Event",
  "source": "aws.scheduler",
  "account": "123456789012",
  "time": "2026-11-21T21:00:00Z",
  "region": "eu-central-1",
  "resources": ["arn:aws:scheduler:eu-central-1:123456789012:schedule/default/EveryMinute"],
  "detail": "{}"
}
"""
OBJECT = """
{
  "version": "0",
  "id": "17793124-05d4-b198-2fde-7ededc63b103",
  "detail-type": "Object Created",
  "source": "aws.s3",
  "account": "123456789012",
  "time": "2026-11-21T21:00:00Z",
  "region": "eu-central-1",
  "resources": ["arn:aws:s3:::maquette-prod"],
  "detail": {
    "version": "0",
    "bucket": {"name": "maquette-prod"},
    "object": {
      "key": "incoming/01JD8G8T3M7XQ4S9Z2V5W6Y1AB/3-0-a+b%20c.glb",
      "size": 5,
      "etag": "b1946ac92492d2347c6235b4d2611184",
      "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
      "sequencer": "617f08299329d189"
    },
    "request-id": "N4N7GDK58NMKJ12R",
    "requester": "123456789012",
    "source-ip-address": "1.2.3.4",
    "reason": "PutObject"
  }
}
"""
OBJECTS = """
{
  "Records": [
    {
      "eventVersion": "2.1",
      "eventSource": "aws:s3",
      "awsRegion": "eu-central-1",
      "eventTime": "2026-11-21T21:00:00.000Z",
      "eventName": "ObjectCreated:Put",
      "userIdentity": {"principalId": "AWS:AIDAINPONIXQXHT3IKHL2"},
      "requestParameters": {"sourceIPAddress": "205.255.255.255"},
      "responseElements": {
        "x-amz-request-id": "D82B88E5F771F645",
        "x-amz-id-2": "vlR7PnpV2Ce81l0PRw6jlUpck7Jo5ZsQjryTjKlc5aLWGVHPZLj5NeC6qMa0emYBDXOo6QBU0Wo="
      },
      "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "828aa6fc-f7b5-4305-8584-487c791949c1",
        "bucket": {
          "name": "maquette-prod",
          "ownerIdentity": {"principalId": "A3I5XTEXAMAI3E"},
          "arn": "arn:aws:s3:::maquette-prod"
        },
        "object": {
          "key": "incoming/01JD8G8T3M7XQ4S9Z2V5W6Y1AB/3-0-model.glb",
          "size": 1305107,
          "eTag": "b21b84d653bb07b05b1e6b33684dc11b",
          "sequencer": "0C0F6F405D6ED209E1"
        }
      }
    }
  ]
}
"""
SCF_TIMER = """
{
  "Type": "Timer",
  "TriggerName": "EveryMinute",
  "Time": "2026-11-21T21:00:00Z",
  "Message": ""
}
"""
COS_OBJECT = """
{
  "Records": [
    {
      "cos": {
        "cosSchemaVersion": "1.0",
        "cosObject": {
          "url": "http://maquette-1250000000.cos.ap-guangzhou.myqcloud.com/incoming/J/3-0-model.glb",
          "meta": {
            "x-cos-request-id": "NWMxOWY4MGFfMjViMjU4NjRfMTUyMV8yNzhhZjM=",
            "Content-Type": "model/gltf-binary",
            "ETag": "\\"0d7316832fef232e5dcdcf81f39bfdba\\"",
            "x-cos-storage-class": "Standard"
          },
          "vid": "",
          "key": "/1250000000/maquette/incoming/J/3-0-model.glb",
          "size": 1029
        },
        "cosBucket": {
          "region": "gz",
          "name": "maquette",
          "appid": "1250000000",
          "cosRegion": "ap-guangzhou",
          "s3Region": "ap-guangzhou"
        },
        "cosNotificationId": "unkown"
      },
      "event": {
        "eventName": "cos:ObjectCreated:CompleteMultipartUpload",
        "eventVersion": "1.0",
        "eventTime": 1795294800,
        "eventSource": "qcs::cos",
        "requestParameters": {
          "requestSourceIP": "192.168.15.101",
          "requestHeaders": {
            "Authorization": "q-sign-algorithm=sha1&q-ak=AKID&q-sign-time=1795294740;1795298400"
          }
        },
        "eventQueue": "qcs:0:scf:ap-guangzhou:appid/1250000000:default.postprocess.$LATEST",
        "reservedInfo": "",
        "reqid": 179398952
      }
    }
  ]
}
"""
INVOKED = """
{"maquette": "wake"}
"""
INVOKED_FOR_HELP = """
{"maquette": "help", "providers": ["tripo"]}
"""
"""What one function invokes another with, asynchronously: on SCF as on Lambda the JSON itself."""

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def record(key: Any) -> dict[str, Any]:
    return {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key, "size": 1}}}


def test_a_schedule_is_a_timer() -> None:
    assert parse(json.loads(SCHEDULER)) == Timer()


def cos_record(written: Any, path: Any = None, *, event: str = "Put") -> dict[str, Any]:
    """COS's record of an object: its key as the event has it, and the path of its URL."""
    url = f"http://maquette-1250000000.cos.ap-guangzhou.myqcloud.com/{path}"
    return {
        "cos": {
            "cosObject": {"key": written, **({} if path is None else {"url": url})},
            "cosBucket": {"name": "maquette", "appid": "1250000000", "region": "gz"},
        },
        "event": {"eventName": f"cos:ObjectCreated:{event}"},
    }


@pytest.mark.parametrize("message", ["", "poll", "{}", None])
def test_a_timer_of_scf_is_a_timer_whatever_its_message_says(message: str | None) -> None:
    assert parse({**json.loads(SCF_TIMER), "Message": message}) == Timer()


def test_a_new_object_of_cos_is_named_without_its_account_and_bucket() -> None:
    assert parse(json.loads(COS_OBJECT)) == ObjectsCreated(("incoming/J/3-0-model.glb",))


@pytest.mark.parametrize(
    ("written", "path", "key"),
    [
        # What people have logged: the URL is encoded, and strictly; the key is not.
        ("!!!", "%21%21%21", "!!!"),
        ("incoming/J/a chair.glb", "incoming/J/a%20chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/木椅.glb", "incoming/J/%E6%9C%A8%E6%A4%85.glb", "incoming/J/木椅.glb"),
        ("incoming/J/🪑.glb", "incoming/J/%F0%9F%AA%91.glb", "incoming/J/🪑.glb"),
        ("incoming/J/100%.glb", "incoming/J/100%25.glb", "incoming/J/100%.glb"),
        ("incoming/J/100%25.glb", "incoming/J/100%2525.glb", "incoming/J/100%25.glb"),
        ("incoming/J/1+1.glb", "incoming/J/1%2B1.glb", "incoming/J/1+1.glb"),
        ("incoming/J/1+1.glb", "incoming/J/1+1.glb", "incoming/J/1+1.glb"),
        ("incoming/J/a?b#c&d.glb", "incoming/J/a%3Fb%23c%26d.glb", "incoming/J/a?b#c&d.glb"),
        ("incoming//a.glb", "incoming//a.glb", "incoming//a.glb"),
        # Neither is.
        ("incoming/J/a chair.glb", "incoming/J/a chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/木椅.glb", "incoming/J/木椅.glb", "incoming/J/木椅.glb"),
        ("incoming/J/100%.glb", "incoming/J/100%.glb", "incoming/J/100%.glb"),
        ("incoming/J/100%ab.glb", "incoming/J/100%ab.glb", "incoming/J/100%ab.glb"),
        ("incoming/J/a?b#c.glb", "incoming/J/a?b#c.glb", "incoming/J/a?b#c.glb"),
        # Both are.
        ("incoming/J/a%20chair.glb", "incoming/J/a%20chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/%E6%9C%A8.glb", "incoming/J/%E6%9C%A8.glb", "incoming/J/木.glb"),
        ("incoming/J/100%25.glb", "incoming/J/100%25.glb", "incoming/J/100%.glb"),
        ("incoming%2FJ%2Fa.glb", "incoming%2FJ%2Fa.glb", "incoming/J/a.glb"),
        # The key is, in one way or the other, and the URL is not, or in its own way.
        ("incoming/J/%E6%9C%A8.glb", "incoming/J/木.glb", "incoming/J/木.glb"),
        ("incoming/J/a+chair.glb", "incoming/J/a%20chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/a+chair.glb", "incoming/J/a chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/a chair.glb", "incoming/J/a+chair.glb", "incoming/J/a chair.glb"),
        # No URL, or one that says something else: the key as it stands.
        ("incoming/J/a+b%20c.glb", None, "incoming/J/a+b%20c.glb"),
        ("incoming/J/a.glb", "", "incoming/J/a.glb"),
        ("incoming/J/a.glb", "elsewhere.glb", "incoming/J/a.glb"),
        # What stands before a key is taken off once.
        ("1250000000/maquette/a.glb", "1250000000/maquette/a.glb", "1250000000/maquette/a.glb"),
        ("/1250000000/maquette/a.glb", "/1250000000/maquette/a.glb", "/1250000000/maquette/a.glb"),
        ("a/1250000000/maquette/b", "a/1250000000/maquette/b", "a/1250000000/maquette/b"),
    ],
)
def test_a_key_of_cos_is_what_key_and_url_can_both_be_read_as(
    written: str, path: str | None, key: str
) -> None:
    record = cos_record(f"/1250000000/maquette/{written}", path)
    assert parse({"Records": [record]}) == ObjectsCreated((key,))


def test_a_key_of_cos_that_is_encoded_with_what_stands_before_it_is_read() -> None:
    written = "%2F1250000000%2Fmaquette%2Fincoming%2FJ%2F%E6%9C%A8.glb"
    record = cos_record(written, "incoming/J/%E6%9C%A8.glb")
    assert parse({"Records": [record]}) == ObjectsCreated(("incoming/J/木.glb",))


@pytest.mark.parametrize(
    "bucket",
    [
        {"name": "maquette-1250000000", "appid": "1250000000"},
        {"name": "maquette", "appid": 1250000000},
        {"name": "maquette-1250000000", "appid": 1250000000},
    ],
)
def test_the_account_may_be_a_number_and_stand_in_the_buckets_name(bucket: Any) -> None:
    record = cos_record("/1250000000/maquette/incoming/a b", "incoming/a%20b")
    record["cos"]["cosBucket"] = bucket
    assert parse({"Records": [record]}) == ObjectsCreated(("incoming/a b",))


def test_an_older_event_of_cos_has_a_slash_alone_before_the_key() -> None:
    record = cos_record("/test.jpg")
    record["cos"]["cosObject"]["url"] = "Origin server URL for accessing files"
    assert parse({"Records": [record]}) == ObjectsCreated(("test.jpg",))


def test_a_record_of_cos_without_a_key_is_named_by_its_url() -> None:
    event = {"Records": [cos_record("", "incoming/J/%E6%9C%A8.glb"), cos_record("")]}
    assert parse(event) == ObjectsCreated(("incoming/J/木.glb",))


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload", "Origin", "*"])
def test_however_an_object_of_cos_came_to_be_it_is_new(name: str) -> None:
    record = cos_record("/1250000000/maquette/a.glb", "a.glb", event=name)
    assert parse({"Records": [record]}) == ObjectsCreated(("a.glb",))


@pytest.mark.parametrize(
    "name", ["cos:ObjectRemove:Delete", "cos:ObjectRemove:*", "cos:ObjectRestore:Completed"]
)
def test_what_is_gone_or_back_from_the_archive_is_no_new_object(name: str) -> None:
    gone = {**cos_record("/1250000000/maquette/a.glb"), "event": {"eventName": name}}
    assert parse({"Records": [gone]}) == ObjectsCreated(())
    removed = {**record("a.glb"), "eventName": "ObjectRemoved:Delete"}
    assert parse({"Records": [removed]}) == ObjectsCreated(())


def test_records_of_cos_come_several_at_once_and_broken_ones_are_passed_over() -> None:
    broken: list[Any] = [
        {"cos": {}},
        {"cos": None},
        {"cos": {"cosObject": "a"}},
        cos_record(None, "a"),
        cos_record(7),
        cos_record(["a"]),
    ]
    good = [cos_record("/1250000000/maquette/a", "a"), cos_record("/1250000000/maquette/b", "b")]
    without_event = {"cos": cos_record("/1250000000/maquette/c", "c")["cos"], "event": 3}
    event = {"Records": [*broken, *good, without_event]}
    assert parse(event) == ObjectsCreated(("a", "b", "c"))


def test_a_new_object_is_named_by_its_key() -> None:
    key = "incoming/01JD8G8T3M7XQ4S9Z2V5W6Y1AB/3-0-model.glb"
    assert parse(json.loads(OBJECTS)) == ObjectsCreated((key,))


def test_a_new_object_that_eventbridge_tells_of_has_its_key_unquoted() -> None:
    key = "incoming/01JD8G8T3M7XQ4S9Z2V5W6Y1AB/3-0-a+b%20c.glb"
    assert parse(json.loads(OBJECT)) == ObjectsCreated((key,))


@pytest.mark.parametrize("detail", [None, {}, {"object": None}, {"object": {"key": 7}}, [], "x"])
def test_a_new_object_without_a_key_is_none(detail: Any) -> None:
    assert parse({"detail-type": "Object Created", "detail": detail}) == ObjectsCreated(())


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("incoming/J/a+chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/a%20chair.glb", "incoming/J/a chair.glb"),
        ("incoming/J/1%2B1.glb", "incoming/J/1+1.glb"),
        ("incoming/J/%E6%9C%A8%E6%A4%85.glb", "incoming/J/木椅.glb"),
        ("incoming/J/%F0%9F%AA%91.glb", "incoming/J/🪑.glb"),
        ("incoming/J/100%25.glb", "incoming/J/100%.glb"),
        ("incoming%2FJ%2Fa.glb", "incoming/J/a.glb"),
    ],
)
def test_a_key_is_read_as_s3_encodes_it(written: str, key: str) -> None:
    assert parse({"Records": [record(written)]}) == ObjectsCreated((key,))


def test_several_objects_come_in_one_event() -> None:
    event = {"Records": [record("incoming/A/a.glb"), record("incoming/B/b.glb")]}
    assert parse(event) == ObjectsCreated(("incoming/A/a.glb", "incoming/B/b.glb"))


def test_a_record_without_a_key_is_passed_over() -> None:
    broken: list[Any] = [{}, {"s3": None}, {"s3": {"object": {"key": 7}}}, record(""), None, "x"]
    assert parse({"Records": [*broken, record("a.glb")]}) == ObjectsCreated(("a.glb",))
    assert parse({"Records": broken}) == ObjectsCreated(())


def test_an_asynchronous_invocation_is_what_was_sent() -> None:
    assert parse(json.loads(INVOKED)) == Wake()
    assert parse(json.loads(INVOKED_FOR_HELP)) == Help(("tripo",))
    assert json.loads(INVOKED) == dict(WAKE)
    assert json.loads(INVOKED_FOR_HELP) == help_event("tripo")


def test_a_wake_up_is_a_wake_up_also_on_the_wire() -> None:
    assert parse(json.loads(json.dumps(dict(WAKE)))) == Wake()


def test_a_call_for_help_names_a_provider_also_on_the_wire() -> None:
    assert parse(json.loads(json.dumps(help_event("tripo")))) == Help(("tripo",))


@pytest.mark.parametrize("named", [None, "tripo", {}, [], [3, None, True, 1.5, ["tripo"]]])
def test_a_call_for_help_without_a_provider_names_none(named: Any) -> None:
    assert parse({"maquette": "help", "providers": named}) == Help(())
    assert parse({"maquette": "help", "lanes": [1]}) == Help(())


@pytest.mark.parametrize(
    "event",
    [{}, {"detail-type": "Something Else"}, {"Records": "none"}, {"Records": None}, [], None, "x"],
)
def test_what_nobody_knows_is_a_wake_up(event: Any) -> None:
    assert parse(event) == Wake()


shapes = st.fixed_dictionaries(
    {},
    optional={
        "detail-type": any_json | st.sampled_from(["Scheduled Event", "Object Created"]),
        "detail": any_json | st.builds(lambda item: {"object": item}, any_json),
        "Records": any_json
        | st.lists(
            any_json
            | st.builds(record, any_json)
            | st.builds(lambda s3: {"s3": s3}, any_json)
            | st.builds(cos_record, any_json, any_json)
            | st.builds(lambda cos, event: {"cos": cos, "event": event}, any_json, any_json)
            | st.builds(
                lambda item, bucket: {"cos": {"cosObject": item, "cosBucket": bucket}},
                st.fixed_dictionaries({"key": any_json, "url": any_json}),
                any_json,
            )
        ),
        "Type": any_json | st.just("Timer"),
        "maquette": any_json | st.just("help"),
        "providers": any_json,
    },
)


@given(any_json | shapes)
def test_no_json_whatever_raises(event: Any) -> None:
    assert isinstance(parse(event), Timer | Wake | Help | ObjectsCreated)


@given(st.text(min_size=1))
def test_a_key_of_cos_is_read_back_whatever_its_characters_are(key: str) -> None:
    written = key.encode("utf-8", "replace").decode()
    record = cos_record(f"/1250000000/maquette/{written}", quote(written, safe="/"))
    assert parse({"Records": [record]}) == ObjectsCreated((written,))

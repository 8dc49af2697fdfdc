"""A gRPC client that is given an address and nothing else: services and messages are learnt by reflection.

    python3 client.py HOST:PORT

Ends with an error at the first thing that is not as the contract says."""

import datetime
import sys
import threading

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TIMEOUT = 30

FLOOD = 3_000


class Client:
    """Calls any method of any service the server tells about."""

    def __init__(self, channel):
        self.channel = channel
        database = ProtoReflectionDescriptorDatabase(channel)
        self.services = set(database.get_services())
        self.pool = descriptor_pool.DescriptorPool(database)

    def message(self, name, **fields):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))(**fields)

    def call(self, service, method, request):
        """`request` is a message, or an iterator of them; streams of answers come back as iterators."""
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        answer = message_factory.GetMessageClass(found.output_type)
        kind = f"{'stream' if found.client_streaming else 'unary'}_{'stream' if found.server_streaming else 'unary'}"
        return getattr(self.channel, kind)(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )(request, timeout=TIMEOUT)

    def milepost(self, name, **fields):
        return self.message(f"milepost.v1.{name}", **fields)

    def ingest(self, method, request):
        return self.call("milepost.v1.IngestService", method, request)

    def metrics(self, method, request):
        return self.call("milepost.v1.MetricsService", method, request)

    def used(self, identity, team, **fields):
        """An event: yesterday the team used the capability `portal`."""
        event = self.milepost("Event", source="/python", id=identity, team=team, capability="portal", **fields)
        event.occurred_at.FromDatetime(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1))
        event.capability_used.SetInParent()
        return event

    def publish(self, *events):
        """The fate of each event, by name."""
        results = self.ingest("Publish", self.milepost("PublishRequest", events=events)).results
        assert len(results) == len(events), results
        return [result.WhichOneof("fate") for result in results]

    def market_share(self):
        selector = self.milepost("Selector", metric="market_share", capability="portal")
        return self.metrics("Query", self.milepost("QueryRequest", selector=selector)).answers


def refused(code, call, *arguments):
    """The call fails with this code; what it says."""
    try:
        call(*arguments)
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error.details()
    raise AssertionError(f"not refused with {code}")


def finds_the_services(client):
    expected = {"milepost.v1.IngestService", "milepost.v1.MetricsService", "grpc.health.v1.Health"}
    assert expected <= client.services, client.services


def is_healthy(client):
    for service in ["", "milepost.v1.IngestService", "milepost.v1.MetricsService"]:
        request = client.message("grpc.health.v1.HealthCheckRequest", service=service)
        status = client.call("grpc.health.v1.Health", "Check", request).status
        assert status == 1, (service, status)       # SERVING


def publishes(client):
    first, second = client.used("p1", "alpha"), client.used("p2", "beta")
    assert client.publish(first, second) == ["stored", "stored"]
    assert client.publish(second, first) == ["duplicate", "duplicate"]


def refuses_one_by_one(client):
    without_body = client.used("r1", "alpha")
    without_body.ClearField("capability_used")
    score = client.used("r2", "alpha", actor="someone")
    score.survey_answered.score = 11
    negative = client.used("r3", "alpha")
    negative.interaction_finished.outcome = 1
    negative.interaction_finished.duration_seconds = -1
    future = client.used("r4", "alpha")
    future.occurred_at.FromDatetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2))
    timeless = client.used("r5", "alpha")
    timeless.ClearField("occurred_at")
    nameless = client.used("", "alpha")
    long = client.used("r6", "a" * 257)
    control = client.used("r7", "a\x07b")
    good = client.used("r8", "alpha")
    events = [without_body, score, negative, future, timeless, nameless, long, control, good]
    results = client.ingest("Publish", client.milepost("PublishRequest", events=events)).results
    found = [(result.refused.reason, result.refused.field) for result in results[:-1]]
    assert found == [
        ("missing", "body"), ("out_of_range", "survey_answered.score"),
        ("out_of_range", "interaction_finished.duration_seconds"), ("future", "occurred_at"), ("missing", "occurred_at"),
        ("missing", "id"), ("too_long", "team"), ("invalid", "team"),
    ], found
    assert all(result.refused.message for result in results[:-1]), results
    assert results[-1].WhichOneof("fate") == "stored", results[-1]


def refuses_whole_requests(client):
    publish = client.channel.unary_unary("/milepost.v1.IngestService/Publish")
    refused(grpc.StatusCode.INVALID_ARGUMENT, publish, b"\xff\xff not protobuf")
    refused(grpc.StatusCode.INVALID_ARGUMENT, client.publish)
    event = client.used("limit", "alpha")
    too_many = refused(grpc.StatusCode.INVALID_ARGUMENT, client.publish, *[event] * 10_001)
    assert "10000" in too_many.replace(",", ""), too_many
    assert client.publish(client.used("after", "alpha")) == ["stored"]


def streams(client):
    batches = [[client.used(f"s{batch}-{index}", "gamma") for index in range(20)] for batch in range(50)]
    requests = (
        client.milepost("PublishStreamRequest", sequence=1000 + batch, events=events) for batch, events in enumerate(batches)
    )
    responses = list(client.ingest("PublishStream", requests))
    assert [response.sequence for response in responses] == list(range(1000, 1050)), responses
    assert not any(response.retry for response in responses)
    assert all(result.HasField("stored") for response in responses for result in response.results)


def floods(client):
    """Small batches, as fast as they go and none of the answers read meanwhile: the server holds up the sender, not more."""
    requests = [
        client.milepost("PublishStreamRequest", sequence=sequence, events=[client.used(f"f{sequence}", "gamma")])
        for sequence in range(FLOOD)
    ]
    responses = client.ingest("PublishStream", iter(requests))
    assert [response.sequence for response in responses] == list(range(FLOOD))
    is_healthy(client)


def answers(client):
    names = {metric.name for metric in client.metrics("List", client.milepost("ListRequest")).metrics}
    assert {"market_share", "keep_rate", "time_to_first_deploy", "onboarding_time", "self_service_rate", "nps"} <= names, names
    (answer,) = client.market_share()
    assert (answer.ratio.numerator, answer.ratio.denominator) == (3, 3), answer
    today = datetime.datetime.now(datetime.timezone.utc).date()
    week_ago = (today - datetime.timedelta(days=7)).isoformat()
    selector = client.milepost("Selector", metric="market_share", capability="portal")
    request = client.milepost("QueryRangeRequest", selector=selector, to=today.isoformat(), **{"from": week_ago})
    series = client.metrics("QueryRange", request).answers
    assert series[-1].as_of == today.isoformat() and series[-1].ratio.numerator == 3, series
    unknown = client.milepost("QueryRequest", selector=client.milepost("Selector", metric="speed"))
    assert "market_share" in refused(grpc.StatusCode.NOT_FOUND, client.metrics, "Query", unknown)
    bad = client.milepost("Selector", metric="market_share", window="soon")
    assert "window" in refused(grpc.StatusCode.INVALID_ARGUMENT, client.metrics, "Query", client.milepost("QueryRequest", selector=bad))


def explains(client):
    selector = client.milepost("Selector", metric="market_share", capability="portal")
    as_of = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    units, token = [], ""
    while True:
        page = client.metrics("Explain", client.milepost(
            "ExplainRequest", selector=selector, as_of=as_of, page_size=2, page_token=token))
        assert len(page.units) <= 2 and page.total_units == 3 and page.definition, page
        units += page.units
        token = page.next_page_token
        if not token:
            break
    assert [(unit.unit, unit.part) for unit in units] == [
        ("alpha", "numerator"), ("beta", "numerator"), ("gamma", "numerator")], units
    (only,) = [unit for unit in units if unit.unit == "beta"]
    assert [(event.source, event.id) for event in only.events] == [("/python", "p2")], only
    (many,) = [unit for unit in units if unit.unit == "gamma"]
    assert (len(many.events), many.event_count) == (100, 1000 + FLOOD), many


def watches(client):
    selector = client.milepost("Selector", metric="market_share", capability="portal")
    stream = client.metrics("Watch", client.milepost("WatchRequest", selectors=[selector]))
    snapshot = next(stream)
    assert snapshot.snapshot and snapshot.answers[0].ratio.numerator == 3, snapshot
    assert client.publish(client.used("w1", "delta")) == ["stored"]
    change = next(stream)
    assert not change.snapshot and change.answers[0].ratio.numerator == 4, change
    stream.cancel()


def cuts_a_stream(client):
    cut = threading.Event()

    def endless():
        yield client.milepost("PublishStreamRequest", sequence=1, events=[client.used("c1", "alpha")])
        cut.wait()

    stream = client.ingest("PublishStream", endless())
    assert next(stream).sequence == 1
    stream.cancel()
    cut.set()
    assert client.publish(client.used("c1", "alpha")) != ["refused"]
    is_healthy(client)


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        client = Client(channel)
        for step in [finds_the_services, is_healthy, publishes, refuses_one_by_one, refuses_whole_requests, streams, floods,
                     answers, explains, watches, cuts_a_stream]:
            print(step.__name__, flush=True)
            step(client)


if __name__ == "__main__":
    main()

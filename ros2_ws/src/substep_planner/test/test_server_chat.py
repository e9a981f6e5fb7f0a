"""Language models on servers: the client against a real HTTP server on this machine, which plays the known kinds."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml

from substep_core.errors import ErrorCode, PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.language_model import server_chat
from substep_planner.decomposers.language_model.anthropic_messages import AnthropicMessages
from substep_planner.decomposers.language_model.bounded_post import LARGEST_ANSWER, certificates, pause_asked_for
from substep_planner.decomposers.language_model.cache import PlanCache
from substep_planner.decomposers.language_model.chat import BackendError, Message
from substep_planner.decomposers.language_model.chat_completions import ChatCompletions
from substep_planner.decomposers.language_model.decomposer import LanguageModelDecomposer, create_openai
from substep_planner.decomposers.language_model.prompt import load_prompt
from substep_planner.decomposers.language_model.reply import REPLY_SCHEMA
from substep_planner.decomposers.language_model.server_chat import ServerChat
from substep_planner.decomposers.language_model.server_settings import ServerSettings
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers

ASK = [Message("system", "be brief"), Message("user", "hello")]
STEPS = {"steps": [{"subgoal": "open the microwave", "expected_effect": "the microwave is open"}]}


def completion(content) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).encode()


class Server(ThreadingHTTPServer):
    """Treats each request with the next of its behaviours, functions of the request handler."""

    daemon_threads = True

    def __init__(self, *behaviours) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = list(behaviours)
        self.requests = []
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.server.behaviours.pop(0)(self)

    def log_message(self, *args):
        pass

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def says(content, status=200, **headers):
    body = content if isinstance(content, bytes) else completion(content)
    return lambda handler: handler.reply(status, body, **headers)


def hangs(handler):
    handler.server.closing.wait()


def drips(handler):
    """Sends a byte now and then, so that no single read times out."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def drips_headers(handler):
    """One header after the other, so that no single read times out and no body begins."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b"X-Wait: 1\r\n")
        handler.wfile.flush()


def compressed(handler):
    """A gibibyte in some kilobytes."""
    body = gzip.compress(gzip.compress(bytes(1 << 26)))
    handler.reply(200, body, Content_Encoding="gzip, gzip")


def floods(handler):
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except (BrokenPipeError, ConnectionResetError):
        pass


def hangs_up(handler):
    handler.connection.close()


@pytest.fixture
def serve():
    servers = []

    def start(*behaviours) -> Server:
        servers.append(Server(*behaviours))
        return servers[-1]

    yield start
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


def chat(server: Server, pauses=None, **settings) -> ServerChat:
    sleep = (pauses if pauses is not None else []).append
    return ServerChat(ServerSettings(server.url, "m", **settings), ChatCompletions(), sleep)


def test_the_request_carries_the_conversation_the_schema_and_the_key(serve):
    server = serve(says("hi"))
    assert chat(server, key="secret").answer(ASK, REPLY_SCHEMA) == "hi"
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["model"] == "m" and body["temperature"] == 0
    assert body["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["schema"] == REPLY_SCHEMA


def test_no_key_is_sent_where_there_is_none_and_it_is_never_shown(serve):
    server = serve(says("hi"))
    chat(server).answer(ASK, REPLY_SCHEMA)
    assert "Authorization" not in server.requests[0][1]
    assert "secret" not in repr(ServerSettings("http://x", "m", key="secret"))


def test_an_image_goes_with_the_first_user_turn(serve):
    server = serve(says("hi"))
    chat(server).answer(ASK, REPLY_SCHEMA, np.zeros((4, 4, 3), np.uint8))
    text, image = server.requests[0][2]["messages"][1]["content"]
    assert text == {"type": "text", "text": "hello"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_retried_with_growing_pauses(serve, status):
    server, pauses = serve(says(b"busy", status), says(b"busy", status), says("hi")), []
    assert chat(server, pauses, retries=2).answer(ASK, REPLY_SCHEMA) == "hi"
    assert pauses == [0.5, 1.0]


def test_the_server_may_ask_for_a_longer_pause_within_reason(serve):
    server = serve(says(b"", 429, Retry_After="3"), says(b"", 429, Retry_After="3600"), says("hi"))
    pauses = []
    chat(server, pauses, retries=2).answer(ASK, REPLY_SCHEMA)
    assert pauses == [3.0, 10.0]


NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (format_datetime(NOW + timedelta(seconds=4), usegmt=True), 4.0),
        ("Mon, 30 Nov 2026 12:00:04 -0000", 4.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        *[(header, 0.0) for header in ("", "soon", "-3", "nan", "Mon, 99 Nov 99999 12:00:04 GMT")],
    ],
)
def test_a_pause_is_asked_for_in_seconds_or_as_a_date(header, pause):
    assert pause_asked_for(header, NOW) == pause


def test_a_date_far_ahead_is_waited_for_within_reason(serve):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    server, pauses = serve(says(b"", 503, Retry_After=later), says("hi")), []
    chat(server, pauses).answer(ASK, REPLY_SCHEMA)
    assert pauses == [10.0]


@pytest.mark.parametrize(
    ("behaviours", "reason"),
    [
        ([says(b"busy", 429)] * 3, r"status 429 Too Many Requests: busy \(tries: 3\)"),
        ([says(b"oops", 500)] * 3, r"status 500 Internal Server Error: oops \(tries: 3\)"),
        ([hangs_up] * 3, r"RemoteProtocolError: .* \(tries: 3\)"),
        ([says(b"no such model", 404)], "status 404 Not Found: no such model"),
        ([says(b"bad key", 401)], "status 401 Unauthorized: bad key"),
        ([says(b"<html>")], "no answer of chat/completions: b'<html>'"),
        ([says(b'{"choices": []}')], "no answer of chat/completions"),
        ([says(b"[" * 100_000)], "no answer of chat/completions"),
        ([says(None)], "has no text but None"),
        ([says(b"\x1b]0;\x07\xc2\x9b2J\xe2\x80\xae", 404)], r"status 404 Not Found: \\x1b\]0;\\x07\\x9b2J\\u202e$"),
        ([compressed], "the answer is compressed .'gzip, gzip'.*as it is"),
        ([floods], f"the answer is longer than {LARGEST_ANSWER} bytes"),
    ],
)
def test_failures_that_stay_are_told(serve, behaviours, reason):
    with pytest.raises(BackendError, match=reason):
        chat(serve(*behaviours), retries=2).answer(ASK, REPLY_SCHEMA)


@pytest.mark.parametrize("behaviour", [hangs, drips, drips_headers])
def test_an_answer_that_does_not_come_ends_in_bounded_time(serve, behaviour, monkeypatch):
    """One deadline for all tries: what is late is not asked for again."""
    monkeypatch.setattr(server_chat, "FIRST_PAUSE", 0.0)
    server = serve(says(b"busy", 503), behaviour, behaviour)
    with pytest.raises(BackendError, match=r"within 1 s \(tries: 2\)"):
        chat(server, timeout=1.0, retries=5).answer(ASK, REPLY_SCHEMA)


def test_no_pause_goes_beyond_the_deadline(serve):
    server, pauses = serve(says(b"busy", 503, Retry_After="9")), []
    with pytest.raises(BackendError, match=r"busy \(tries: 1\)"):
        chat(server, pauses, timeout=5.0, retries=5).answer(ASK, REPLY_SCHEMA)
    assert pauses == []


VARIABLES = {
    "ALL_PROXY": "gopher://proxy",
    "HTTP_PROXY": "socks5://proxy",  # needs a package that is not among ours
    "SSL_CERT_FILE": "/nowhere/certificates.pem",
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_variables_that_the_client_refuses_are_the_backends_failure(serve, monkeypatch, variable):
    """The next decomposer is asked."""
    monkeypatch.setenv(variable, VARIABLES[variable])
    certificates.cache_clear()
    rules = load_decomposers(["rules"], DecomposerSettings())
    result = decompose(PlanRequest("open the microwave"), [openai(serve(says("unheard"))), *rules])
    assert result.sourced.source == "rules (after openai)"
    assert result.passed_over[0].code is ErrorCode.BACKEND_FAILED
    assert "/chat/completions: " in result.passed_over[0].message


def test_half_a_character_in_an_answer_is_no_plan(serve):
    half = json.dumps({"steps": [{"subgoal": "open the microwave", "expected_effect": "the microwave is open \ud83d"}]})
    rules = load_decomposers(["rules"], DecomposerSettings())
    result = decompose(PlanRequest("open the microwave"), [openai(serve(says(half), says(half))), *rules])
    assert result.sourced.source == "rules (after openai)"
    assert result.remarks[0].encode()


def test_no_server_at_all_is_told():
    with pytest.raises(BackendError, match="ConnectError"):
        ServerChat(ServerSettings("http://127.0.0.1:9/v1", "m", retries=0), ChatCompletions()).answer(ASK, REPLY_SCHEMA)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "localhost"}, "url is 'localhost'"),
        ({"model": ""}, "model is empty"),
        ({"timeout": 0.0}, "timeout is 0.0 s"),
        ({"retries": -1}, "retries is -1"),
        ({"form": "xml"}, "form is 'xml', expected one of auto, json_schema, tool_call, json_object, text"),
    ],
)
def test_bad_settings_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        ServerSettings(**{"url": "http://x/v1", "model": "m", **settings})


def test_a_form_that_the_servers_api_does_not_know_is_refused():
    with pytest.raises(ValueError, match="form is 'json_object', expected one of tool_call, text"):
        ServerChat(ServerSettings("http://x/v1", "m", form="json_object"), AnthropicMessages())


def openai(server: Server):
    return create_openai(DecomposerSettings(openai_url=server.url, openai_model="m", server_retries=0))


def test_a_plan_comes_from_a_server(serve):
    sourced = openai(serve(says(json.dumps(STEPS)))).decompose(PlanRequest("heat nothing"))
    assert sourced.source == "openai:m" and sourced.plan.substeps[0].instruction == "open the microwave"


@pytest.mark.parametrize("first", ["{broken", '{"plan": "wrong schema"}', '{"steps": [{"subgoal": "dance"}]}'])
def test_broken_json_and_wrong_schemas_are_repaired_once(serve, first):
    server = serve(says(first), says(json.dumps(STEPS)))
    assert openai(server).decompose(PlanRequest("heat nothing")).plan.substeps
    assert len(server.requests[1][2]["messages"]) == 4
    with pytest.raises(PlanningError) as error:
        openai(serve(says(first), says(first))).decompose(PlanRequest("heat nothing"))
    assert error.value.code is ErrorCode.INVALID_PLAN


def test_the_key_comes_from_the_environment(serve, monkeypatch):
    monkeypatch.setenv("PLANNER_KEY", "secret")
    server = serve(says(json.dumps(STEPS)))
    settings = DecomposerSettings(openai_url=server.url, openai_model="m", openai_key_variable="PLANNER_KEY")
    create_openai(settings).decompose(PlanRequest("heat nothing"))
    assert server.requests[0][1]["Authorization"] == "Bearer secret"


TASK = "heat nothing"
RECORDED = [
    pytest.param(file.stem, case, id=f"{file.stem}: {case['name']}")
    for file in sorted(Path(__file__).with_name("servers").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text())
]


def with_server(kind: str, url: str, pauses: list[float], settings: dict) -> LanguageModelDecomposer:
    api = AnthropicMessages() if kind == "anthropic" else ChatCompletions()
    server = ServerSettings(url, "m", "secret", max_tokens=1024, **settings)
    return LanguageModelDecomposer(ServerChat(server, api, pauses.append), load_prompt(), PlanCache())


def learned(caplog) -> list[str]:
    """What has been logged that a server does not take; the HTTP client logs too, where another test has let it."""
    return [said for record in caplog.records if (said := record.getMessage().partition("does not take ")[2])]


@pytest.mark.parametrize(("server", "case"), RECORDED)
def test_a_plan_is_had_from_what_the_server_answers(server, case, serve, caplog):
    exchanges, pauses = case["exchanges"], []
    played = serve(*map(behaviour, exchanges), behaviour(exchanges[-1]))
    made = with_server(server, played.url, pauses, case.get("settings", {}))
    if "error" in case:
        with pytest.raises(PlanningError, match=case["error"]) as error:
            made.decompose(PlanRequest(TASK))
        assert error.value.code is ErrorCode.BACKEND_FAILED
        return
    assert [step.instruction for step in made.decompose(PlanRequest(TASK)).plan.substeps] == ["open the microwave"]
    assert len(played.requests) == len(exchanges)
    for exchange, (path, headers, body) in zip(exchanges, played.requests, strict=True):
        assert path == exchange["path"] and exchange.get("headers", {}).items() <= headers.items()
        assert body == filled_in(exchange.get("request"), body)
    assert pauses == case.get("pauses", [])
    assert [said.partition(",")[0] for said in learned(caplog)] == case.get("learned", [])

    caplog.clear()  # what was refused once is not sent again, and not spoken of again
    made.decompose(PlanRequest("heat the same again"))
    assert len(played.requests) == len(exchanges) + 1 and not learned(caplog)
    assert played.requests[-1][2].keys() == played.requests[-2][2].keys()


def test_a_plan_comes_from_a_server_of_anthropics_kind(serve, monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "secret")
    case = next(case.values[1] for case in RECORDED if case.values[0] == "anthropic")
    server = serve(*map(behaviour, case["exchanges"]))
    settings = DecomposerSettings(
        anthropic_url=server.url, anthropic_model="m", anthropic_key_variable="OTHER_KEY", server_retries=0
    )
    sourced = load_decomposers(["anthropic"], settings)[0].decompose(PlanRequest(TASK))
    assert sourced.source == "anthropic:m" and server.requests[0][1]["x-api-key"] == "secret"


def behaviour(exchange: dict):
    return says(json.dumps(exchange["answer"]).encode(), exchange["status"], **exchange.get("response_headers", {}))


def filled_in(recorded, body: dict):
    """A recorded request with the schema and the conversation that are not written out in the file."""
    if recorded is None:
        return body
    stands_for = {"SCHEMA": REPLY_SCHEMA, "MESSAGES": body["messages"], "SYSTEM": body.get("system")}
    assert body["messages"][-1]["role"] == "user" and TASK in body["messages"][-1]["content"]

    def fill(value):
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return stands_for.get(value, value) if isinstance(value, str) else value

    return fill(recorded)

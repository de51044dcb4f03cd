"""A teacher on a real local server: what it is asked, what it answers, and how it may fail."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from ponder.errors import ConfigError
from ponder.train.annotate import AnnotateConfig, Report, annotate, is_blind
from ponder.train.annotate_prompts import read_verdict, read_written
from ponder.train.chat import ChatError, EndpointError
from ponder.train.records import (
    Record,
    RecordsError,
    Side,
    WrittenThought,
    read_records,
    read_root,
    write_records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = tuple[int, dict[str, str], str]
    Script = Callable[[dict[str, Any], int], Answer | None]

THOUGHT = "<think>It says so.</think><answer>What it says.</answer>"
ACCEPT, REJECT = '{"accept": true, "reason": ""}', 'No: {"accept": false, "reason": "made {up}"}'


def completion(text: str, finish_reason: str = "stop") -> Answer:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return 200, {}, json.dumps({"choices": [choice], "usage": usage})


def is_check(body: dict[str, Any]) -> bool:
    return body["messages"][0]["content"].startswith("You check")


def willing(body: dict[str, Any], number: int) -> Answer | None:
    return completion(ACCEPT if is_check(body) else THOUGHT)


def words(body: dict[str, Any]) -> str:
    parts = body["messages"][1]["content"]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


class Teacher(ThreadingHTTPServer):
    """An OpenAI-compatible API; its script gets a request and its number, None hangs up."""

    daemon_threads = True
    request_queue_size = 64  # one that overflows costs a caller a second

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.models: Answer = (200, {}, json.dumps({"data": [{"id": "big"}, {"id": "small"}]}))
        self.lock = threading.Lock()
        self.released = threading.Event()  # for answers that are held back

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away."""


class Handler(BaseHTTPRequestHandler):
    server: Teacher

    def do_GET(self) -> None:
        assert self.path == "/v1/models"
        self.answer(self.server.models)

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.keys.add(self.headers["Authorization"])
            number = len(self.server.asked)
        if answer := self.server.script(body, number):
            self.answer(answer)

    def answer(self, answer: Answer) -> None:
        status, headers, text = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@contextmanager
def teaching(script: Script = willing) -> Iterator[Teacher]:
    with Teacher(script) as teacher:
        thread = threading.Thread(target=teacher.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield teacher
        finally:
            teacher.released.set()
            teacher.shutdown()
            thread.join()


def make_pairs(folder: Path, count: int) -> Path:
    path = folder / "pairs.jsonl"
    pairs = (
        Record("set", "", str(n), Side(f"query-{n}."), Side(f"document-{n}.")) for n in range(count)
    )
    write_records(path, pairs, {})
    return path


def run(source: Path, target: Path, teacher: Teacher, **changes: Any) -> Report:
    config = AnnotateConfig(
        **{"endpoint": teacher.url, "model": "big", "retries": 2, "timeout_s": 20.0, **changes}
    )
    return annotate(source, target, config, backoff_s=0.0)


def counts(report: Report) -> dict[str, int]:
    found: dict[str, int] = {}
    for (outcome, _), count in report.records.items():
        found[outcome] = found.get(outcome, 0) + count
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_both_sides_of_each_record_get_a_thought(tmp_path: Path) -> None:
    source, target = make_pairs(tmp_path, 12), tmp_path / "out.jsonl"
    with teaching() as teacher:
        report = run(source, target, teacher, price_in=1.0, price_out=100.0)
    thought = WrittenThought("It says so.", "What it says.")
    read = {record.id: record for record in read_records(target, {}) if isinstance(record, Record)}
    assert read.keys() == {str(n) for n in range(12)}
    for number, record in read.items():
        assert record.query == Side(f"query-{number}.", thought=thought)
        assert record.positive == Side(f"document-{number}.", thought=thought)
    assert counts(report) == {"accepted": 12}
    assert len(teacher.asked) == 48
    assert (report.tokens_in, report.tokens_out) == (4_800, 480)
    config = AnnotateConfig(endpoint="", model="", price_in=1.0, price_out=100.0)
    assert report.cost(config) == pytest.approx(0.0048 + 0.048)
    assert report.seconds > 0
    assert teacher.keys == {None}


def test_blind_records_are_written_without_sight_of_the_other_side(tmp_path: Path) -> None:
    source, target = make_pairs(tmp_path, 12), tmp_path / "out.jsonl"
    with teaching() as teacher:
        report = run(source, target, teacher)
    blind = {row["data_info"]["data_id"]: row["annotation"]["blind"] for row in lines(target)}
    records = [record for record in read_records(source, {}) if isinstance(record, Record)]
    assert blind == {record.id: is_blind(record, 0, 0.5) for record in records}
    assert report.records == {
        ("accepted", "blind"): sum(blind.values()),
        ("accepted", "sighted"): 12 - sum(blind.values()),
    }
    written = [words(body) for body in teacher.asked if not is_check(body)]
    for number, is_one in blind.items():
        of_query = next(text for text in written if text.startswith(f"<query>\nquery-{number}."))
        of_document = next(
            text for text in written if text.startswith(f"<document>\ndocument-{number}.")
        )
        assert (f"document-{number}." in of_query) is not is_one
        assert (f"query-{number}." in of_document) is not is_one


def test_blindness_hangs_on_seed_and_id_and_keeps_its_share() -> None:
    records = [Record("set", "", str(n), Side("q"), Side("p")) for n in range(2000)]
    for share in (0.0, 0.3, 1.0):
        found = [is_blind(record, 1, share) for record in records]
        assert sum(found) / 2000 == pytest.approx(share, abs=0.03)
    zero, one = ([is_blind(record, seed, 0.5) for record in records] for seed in (0, 1))
    assert zero != one


def test_pictures_go_along_scaled_down(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 300), "red").save(tmp_path / "wide.png")
    pair = Record("", "", "1", Side("", (tmp_path / "wide.png",)), Side("red", instruction="Why?"))
    write_records(tmp_path / "pairs.json", [pair], {})
    with teaching() as teacher:
        report = run(tmp_path / "pairs.json", tmp_path / "out.jsonl", teacher, blind_share=1.0)
    assert report.records == {("accepted", "blind"): 1}
    first, *_, last = teacher.asked
    (picture,) = (part for part in first["messages"][1]["content"] if part["type"] == "image_url")
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (1024, 102)
    assert "What to look for: Why?" in words(last)


@pytest.mark.parametrize(("verify", "requests"), [("strict", 4), ("hallucination", 4), ("none", 2)])
def test_verification_sees_what_it_judges(tmp_path: Path, verify: str, requests: int) -> None:
    with teaching() as teacher:
        run(make_pairs(tmp_path, 1), tmp_path / "out.jsonl", teacher, verify=verify, concurrency=1)
    assert len(teacher.asked) == requests
    checks = [words(body) for body in teacher.asked if is_check(body)]
    assert len(checks) == requests - 2
    for text in checks:
        assert THOUGHT in text
        seen = "query-0." in text, "document-0." in text
        assert seen == (
            (True, True) if verify == "strict" else (text == checks[0], text != checks[0])
        )


def test_rejected_records_are_not_kept_and_not_asked_about_again(tmp_path: Path) -> None:
    def script(body: dict[str, Any], number: int) -> Answer | None:
        rejected = is_check(body) and "<document>\ndocument-3." in words(body)
        return completion(REJECT) if rejected else willing(body, number)

    source, target = make_pairs(tmp_path, 6), tmp_path / "out.jsonl"
    with teaching(script) as teacher:
        report = run(source, target, teacher)
        assert counts(report) == {"accepted": 5, "rejected": 1}
        before = len(teacher.asked)
        assert run(source, target, teacher).finished == 6
        assert len(teacher.asked) == before
    assert "3" not in [row["data_info"]["data_id"] for row in lines(target)]
    (error,) = lines(tmp_path / "errors.jsonl")
    assert error == {
        "output": "out.jsonl",
        "dataset": "set",
        "id": "3",
        "outcome": "rejected",
        "reason": error["reason"],
    }
    assert "made {up}" in error["reason"]


def test_what_fails_in_passing_is_tried_again(tmp_path: Path) -> None:
    passing: list[Answer | None] = [
        (429, {"Retry-After": "0"}, "too many"),
        (503, {}, "busy"),
        None,
        (200, {}, "{no json"),
        (200, {}, '{"error": "odd"}'),
        (200, {"Content-Encoding": "gzip"}, "no gzip"),
    ]

    def script(body: dict[str, Any], number: int) -> Answer | None:
        return passing[number - 1] if number <= len(passing) else willing(body, number)

    with teaching(script) as teacher:
        report = run(make_pairs(tmp_path, 1), tmp_path / "out.jsonl", teacher, retries=6)
    assert counts(report) == {"accepted": 1}
    assert len(teacher.asked) == len(passing) + 4
    assert not lines(tmp_path / "errors.jsonl")


@pytest.mark.parametrize(
    ("answer", "requests", "reason"),
    [
        ((500, {}, "out of memory"), 3, "HTTP 500: out of memory"),
        ((429, {"Retry-After": "0"}, "slower"), 3, "HTTP 429: slower"),
        ((400, {}, "too many pictures\n"), 1, "HTTP 400: too many pictures"),
        ((302, {"Location": "/elsewhere"}, ""), 1, "HTTP 302"),
        (None, 3, "disconnected"),
        ((200, {}, '{"choices": []}'), 3, "no chat completion"),
        (completion("I would rather not."), 1, "not in the form"),
        (completion("<think>x</think><answer> </answer>"), 1, "not in the form"),
        (completion(THOUGHT, "length"), 1, "broke off at 1024 tokens"),
    ],
)
def test_what_fails_for_good_costs_its_record_alone(
    tmp_path: Path, answer: Answer | None, requests: int, reason: str
) -> None:
    def script(body: dict[str, Any], number: int) -> Answer | None:
        return answer if "query-1." in words(body) else willing(body, number)

    with teaching(script) as teacher:
        report = run(make_pairs(tmp_path, 3), tmp_path / "out.jsonl", teacher, blind_share=1.0)
    assert counts(report) == {"accepted": 2, "failed": 1}
    (error,) = lines(tmp_path / "errors.jsonl")
    assert (error["id"], error["outcome"]) == ("1", "failed")
    assert reason in error["reason"]
    assert len(teacher.asked) == 2 * 4 + requests


def test_a_verdict_that_is_none_fails_the_record(tmp_path: Path) -> None:
    def script(body: dict[str, Any], number: int) -> Answer | None:
        return completion("Fine with me.") if is_check(body) else willing(body, number)

    with teaching(script) as teacher:
        report = run(make_pairs(tmp_path, 1), tmp_path / "out.jsonl", teacher)
    assert counts(report) == {"failed": 1}
    assert "no verdict" in lines(tmp_path / "errors.jsonl")[0]["reason"]


def test_a_slow_answer_fails_its_record_alone(tmp_path: Path) -> None:
    def script(body: dict[str, Any], number: int) -> Answer | None:
        if "query-1." in words(body):
            teacher.released.wait()
        return willing(body, number)

    changes = {"blind_share": 1.0, "timeout_s": 1.0, "retries": 0}
    with teaching(script) as teacher:
        report = run(make_pairs(tmp_path, 3), tmp_path / "out.jsonl", teacher, **changes)
    assert counts(report) == {"accepted": 2, "failed": 1}
    assert lines(tmp_path / "errors.jsonl")[0]["reason"] == "no answer within 1 s"


def test_waits_double_and_follow_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(503, {}, ""), (503, {}, ""), (503, {}, "")]
    answers += [(429, {"Retry-After": value}, "") for value in ("7", "9999", "yesterday")]
    answers += [(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "")]
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def script(body: dict[str, Any], number: int) -> Answer | None:
        return answers[number - 1] if number <= len(answers) else willing(body, number)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with teaching(script) as teacher:
        config = AnnotateConfig(endpoint=teacher.url, model="big", retries=9)
        report = annotate(make_pairs(tmp_path, 1), tmp_path / "o.jsonl", config, backoff_s=2.0)
    assert counts(report) == {"accepted": 1}
    assert waits[3:5] == [7.0, 300.0]
    assert waits[6] == 0.0
    for attempt in (0, 1, 2, 5):
        assert 1.0 * 2**attempt <= waits[attempt] <= 3.0 * 2**attempt


def test_records_are_in_work_at_once_and_no_more_than_asked(tmp_path: Path) -> None:
    barrier = threading.Barrier(4, timeout=20)
    most = [0, 0]  # in flight, and the most there were
    lock = threading.Lock()

    def script(body: dict[str, Any], number: int) -> Answer | None:
        with lock:
            most[0] += 1
            most[1] = max(most)
        barrier.wait()
        with lock:
            most[0] -= 1
        return willing(body, number)

    with teaching(script) as teacher:
        report = run(make_pairs(tmp_path, 8), tmp_path / "out.jsonl", teacher, concurrency=4)
    assert counts(report) == {"accepted": 8}
    assert most[1] == 4


def test_an_endpoint_out_of_reach_is_one_error_at_the_start(tmp_path: Path) -> None:
    source, target = make_pairs(tmp_path, 1), tmp_path / "out.jsonl"
    with teaching() as teacher:
        url = teacher.url
    for endpoint in (url, "localhost:8000/v1", "http://[oops/v1"):
        config = AnnotateConfig(endpoint=endpoint, model="big")
        with pytest.raises(EndpointError, match="cannot reach ") as caught:
            annotate(source, target, config)
        assert endpoint in str(caught.value)
    assert not target.exists()


def test_the_endpoint_is_asked_for_its_models_first(tmp_path: Path) -> None:
    source, target = make_pairs(tmp_path, 1), tmp_path / "out.jsonl"
    with teaching() as teacher:
        with pytest.raises(EndpointError, match="serves no model 'huge', but big, small"):
            run(source, target, teacher, model="huge")
        teacher.models = (404, {}, "no such page")
        assert counts(run(source, target, teacher, model="huge")) == {"accepted": 1}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_one_error_without_the_key(tmp_path: Path, status: int) -> None:
    source, target = make_pairs(tmp_path, 1), tmp_path / "out.jsonl"
    with teaching() as teacher:
        teacher.models = (status, {}, "Incorrect API key: sk-secret")
        config = AnnotateConfig(endpoint=teacher.url, model="big")
        with pytest.raises(EndpointError, match=r"refuses the API key.*key: \*\*\*") as caught:
            annotate(source, target, config, api_key="sk-secret")
        assert "sk-secret" not in str(caught.value)
        with pytest.raises(EndpointError, match="characters that no key has"):
            annotate(source, target, config, api_key="sk-sécret")
        teacher.models = (200, {}, "{}")
        annotate(source, target, config, api_key="sk-secret")
    assert teacher.keys == {"Bearer sk-secret"}
    assert not any("sk-secret" in file.read_text() for file in tmp_path.iterdir())


def test_a_teacher_that_goes_away_stops_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    def script(body: dict[str, Any], number: int) -> Answer | None:
        if number == 10:
            teacher.socket.close()  # takes no more connections
        return willing(body, number)

    source, target = make_pairs(tmp_path, 8), tmp_path / "out.jsonl"
    with teaching(script) as teacher, pytest.raises(EndpointError, match="is no longer there"):
        run(source, target, teacher, concurrency=1)
    assert len(lines(target)) == 2
    assert not lines(tmp_path / "errors.jsonl")
    with teaching() as teacher:
        report = run(source, target, teacher)
    assert (counts(report), report.finished) == ({"accepted": 6}, 2)
    assert sorted(row["data_info"]["data_id"] for row in lines(target)) == list("01234567")


def test_a_line_half_written_is_done_again(tmp_path: Path) -> None:
    source, target = make_pairs(tmp_path, 3), tmp_path / "out.jsonl"
    with teaching() as teacher:
        run(source, target, teacher)
        whole = target.read_bytes()
        for left in (len(whole) - 1, len(whole) - 40, 5):
            target.write_bytes(whole[:left])
            kept = whole[:left].count(b"\n")
            report = run(source, target, teacher)
            assert (counts(report), report.finished) == ({"accepted": 3 - kept}, kept)
            assert sorted(target.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_bad_rows_and_repeated_ids_are_told_once(tmp_path: Path) -> None:
    source, target = make_pairs(tmp_path, 2), tmp_path / "out.jsonl"
    again = source.read_text().splitlines()[0]
    source.write_text(source.read_text() + again + '\n{"query": {"image": "none.png"}}\n[]\n')
    with teaching() as teacher:
        for finished in (0, 2):
            report = run(source, target, teacher)
            assert (report.bad, report.repeated, report.finished) == (2, 1, finished)
        other = run(source, tmp_path / "other.jsonl", teacher)  # shares errors.jsonl, not its rows
        assert (other.bad, other.finished) == (2, 0)
    errors = lines(tmp_path / "errors.jsonl")
    assert [(row["output"], row["row"], row["outcome"]) for row in errors] == [
        (name, row, "bad") for name in ("out.jsonl", "other.jsonl") for row in (4, 5)
    ]


def test_a_broken_picture_fails_its_record_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pair = Record("", "", "1", Side("", (tmp_path / "broken.png",)), Side("p"))
    write_records(tmp_path / "pairs.jsonl", [pair], {})
    with teaching() as teacher:
        report = run(tmp_path / "pairs.jsonl", tmp_path / "out.jsonl", teacher)
    assert counts(report) == {"failed": 1}
    assert "broken.png: not a picture" in lines(tmp_path / "errors.jsonl")[0]["reason"]
    assert not teacher.asked


def test_nobodys_file_is_written_over(tmp_path: Path) -> None:
    source = make_pairs(tmp_path, 2)
    with teaching() as teacher:
        with pytest.raises(RecordsError, match="is what is to be read"):
            run(source, source, teacher)
        with pytest.raises(RecordsError, match="no such file"):
            run(tmp_path / "none.jsonl", tmp_path / "out.jsonl", teacher)
        assert list(tmp_path.iterdir()) == [source]
        for text in ("words", '{"data_info": {}}\n', source.read_text(), '{"data_info": {}\n'):
            (tmp_path / "theirs").write_text(text)
            with pytest.raises(RecordsError, match="theirs, line 1, is not of this command's"):
                run(source, tmp_path / "theirs", teacher)
            assert (tmp_path / "theirs").read_text() == text


@pytest.mark.parametrize(
    "change", [{"concurrency": 0}, {"retries": -1}, {"blind_share": 1.1}, {"timeout_s": 0.0}]
)
def test_settings_without_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        AnnotateConfig(endpoint="", model="", **change)


def test_a_thought_is_read_after_a_teachers_own() -> None:
    for text in (THOUGHT, f" {THOUGHT}\n", f"<think>Hm. Well.</think>\n\n{THOUGHT}"):
        assert read_written(text) == WrittenThought("It says so.", "What it says.")
    assert read_written("<think></think>\n<answer>a\nb</answer>") == WrittenThought("", "a\nb")
    for text in (
        "",
        "a",
        "<think>a</think>",
        f"{THOUGHT} So.",
        "<think>\ud800</think><answer>a</answer>",
    ):
        with pytest.raises(ChatError):
            read_written(text)


def test_a_verdict_is_read_from_within_its_wrapping() -> None:
    assert read_verdict(f"```json\n{ACCEPT}\n```") == (True, "")
    assert read_verdict(REJECT) == (False, "made {up}")
    for text in ("", "{}", '{"accept": "yes"}', "{{{{", '{"accept": 1}'):
        with pytest.raises(ChatError, match="no verdict"):
            read_verdict(text)


def test_roots_are_named_on_the_command_line() -> None:
    given = ("a.b+c=/x=y", "/x", "with space")
    assert list(map(read_root, given)) == [
        ("a.b+c", Path("/x=y")),
        ("", Path("/x")),
        ("", Path("with space")),
    ]


def test_the_command_line_stopped_by_ctrl_c_loses_nothing_finished(tmp_path: Path) -> None:
    held = threading.Event()

    def script(body: dict[str, Any], number: int) -> Answer | None:
        if number > 12:
            held.set()
            teacher.released.wait()
        return willing(body, number)

    source, target = make_pairs(tmp_path, 8), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ponder", "annotate", str(source), str(target)]
    command += [
        "--model",
        "big",
        "--concurrency",
        "1",
        "--price-out",
        "1e3",
        "--root",
        f"x={tmp_path}",
    ]
    environment = os.environ | {"OPENAI_API_KEY": "sk-secret"}
    with teaching(script) as teacher:
        process = subprocess.Popen(
            [*command, "--endpoint", teacher.url],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert held.wait(30)
        process.send_signal(signal.SIGINT)
        told, complained = process.communicate(timeout=30)
        assert (process.returncode, complained) == (130, "")
        assert told.startswith("3 accepted (")
        assert "1,200 tokens in, 120 out, cost 0.12, in " in told
        assert len(lines(target)) == 3
    with teaching() as teacher:
        done = subprocess.run(
            [*command, "--endpoint", teacher.url],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert teacher.keys == {"Bearer sk-secret"}
    assert done.stdout.startswith("5 accepted (")
    assert "3 finished before, 0 repeated, 0 bad rows" in done.stdout
    assert len(lines(target)) == 8

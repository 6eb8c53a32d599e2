"""The worker process: it begins and ends with the daemon, tells of itself, and is started again when it dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deepdream_daemon.worker import keeper, lane
from deepdream_daemon.worker.died import PictureLost, WorkerDied
from deepdream_daemon.worker.handles import PreparedHandle
from deepdream_daemon.worker.workshop import Workshop
from deepdream_engine.errors import BadOption, Cancelled
from deepdream_plugins.hosting.health import Health
from tests.daemon.stub import environment, make_settings, recipe_book, wait_until
from tests.daemon.worker_stub import workshop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    made = workshop(make_settings(tmp_path))
    assert made.check(60)
    yield made
    made.close()


def prepare(shop: Workshop, text: str) -> PreparedHandle:
    return shop.prepare(b"PICTURE " + text.encode(), recipe_book().resolve("classic"), 1, {})


def dream(shop: Workshop, *prepared: PreparedHandle | None) -> dict[int, object]:
    return dict(shop.dream(iter(prepared), on_progress=lambda *_: None, should_stop=lambda: False))


def test_a_picture_goes_through_the_worker_and_comes_back_dreamt(shop: Workshop) -> None:
    progress: list[tuple[int, float]] = []
    prepared = [prepare(shop, "sky"), None, prepare(shop, "sea")]
    outcomes = dict(
        shop.dream(iter(prepared), on_progress=lambda *told: progress.append(told), should_stop=lambda: False)
    )
    found = [shop.finish(outcomes[index], {"job": "key"}).data for index in (0, 1)]
    assert [data.split(b"\n")[0] for data in found] == [b"DREAM sky", b"DREAM sea"]
    assert shop.devices == ("stub",)
    assert progress


def test_pictures_of_one_recipe_share_a_key_and_those_of_others_have_another(shop: Workshop) -> None:
    first, second = prepare(shop, "sky"), prepare(shop, "sea")
    other = shop.prepare(b"PICTURE sky", recipe_book().resolve("deep"), 1, {})
    assert first.batch_key == second.batch_key != other.batch_key


def test_the_daemon_loads_neither_torch_nor_the_network(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.daemon.stub import make_settings, recipe_book\n"
        "from tests.daemon.worker_stub import workshop\n"
        "shop = workshop(make_settings(Path(sys.argv[1])))\n"
        "prepared = shop.prepare(b'PICTURE sky', recipe_book().resolve('classic'), 1, {})\n"
        "print(dict(shop.dream(iter([prepared]), on_progress=lambda *_: None, should_stop=lambda: False)))\n"
        "shop.close(); print([name for name in ('torch', 'torchvision', 'lightning_fabric') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_worker_ends_when_the_daemon_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.daemon.stub import make_settings, recipe_book\n"
        "from tests.daemon.worker_stub import workshop\n"
        "shop = workshop(make_settings(Path(sys.argv[1])))\n"
        "while not shop.check(10): print(shop.troubles(), file=sys.stderr)\n"  # a busy machine may need a second try
        "Path(sys.argv[1], 'pid').write_text(f'{shop.pid} ')\n"  # not printed: what is logged would be on the same line
        "shop.prepare(b'PICTURE prepare-hang', recipe_book().resolve('classic'), 1, {})\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment())
    found = tmp_path / "pid"
    wait_until(lambda: (found.exists() and found.read_text().endswith(" ")) or daemon.poll() is not None, 60)
    pid = int(found.read_text())
    worker = psutil.Process(pid)
    time.sleep(0.2)  # by now it is at work
    daemon.kill()
    daemon.wait()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 5)


def test_an_idle_worker_that_is_killed_is_started_again(shop: Workshop) -> None:
    prepared, before = prepare(shop, "sky"), shop.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: shop.restarts == 1 and shop.is_ready, 60)
    assert shop.pid != before
    assert shop.last_death == "was killed by SIGKILL"
    assert isinstance(dream(shop, prepared, prepare(shop, "sea"))[0], PictureLost)
    outcomes = dream(shop, prepare(shop, "sea"))
    os.kill(shop.pid or 0, signal.SIGKILL)
    wait_until(lambda: shop.restarts == 2 and shop.is_ready, 60)
    with pytest.raises(PictureLost):
        shop.finish(outcomes[0], {})  # type: ignore[arg-type]


def test_a_call_that_the_worker_dies_of_says_how_and_who_else_was_there(shop: Workshop) -> None:
    hanging: list[BaseException] = []

    def hang() -> None:
        try:
            prepare(shop, "prepare-hang")
        except WorkerDied as error:
            hanging.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    wait_until(lambda: shop._keeper.child is not None and shop._keeper.child._inside == 1)
    with pytest.raises(WorkerDied, match="SIGSEGV") as caught:
        prepare(shop, "prepare-crash")
    thread.join(60)
    assert caught.value.suspects == 2
    assert [type(error) for error in hanging] == [WorkerDied]
    with pytest.raises(WorkerDied) as alone:
        prepare(shop, "prepare-crash")
    assert (alone.value.suspects, alone.value.generation) == (1, caught.value.generation + 1)


def test_a_worker_that_is_stopped_gives_no_sign_of_life_and_is_replaced(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shop.pid
    assert before is not None
    assert time.monotonic() - shop.beat < 10
    with monkeypatch.context() as patch:
        patch.setattr(keeper, "LISTEN_SECONDS", 0.1)
        patch.setattr(lane, "REST_SECONDS", 1.0)  # it may be stopped within a message
        os.kill(before, signal.SIGSTOP)
        patch.setattr(keeper, "ANSWER_SECONDS", 1.0)
        wait_until(lambda: not shop.is_ready)
    wait_until(lambda: shop.restarts == 1 and shop.is_ready, 60)  # a busy machine may take longer to start it
    assert shop.last_death in {"gave no sign of life for 1 s", "did not answer any more"}
    assert shop.pid != before


def test_what_is_not_wanted_any_more_is_dropped_there(shop: Workshop) -> None:
    worker = psutil.Process(shop.pid)
    before = worker.memory_info().rss
    for _ in range(3):
        prepare(shop, "x" * 40_000_000)  # and forget it
        wait_until(lambda: worker.memory_info().rss - before < 30_000_000, what=worker.memory_info)


def test_closing_ends_the_process_and_its_calls_and_leaves_no_descriptor(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    for _ in range(2):
        made = workshop(make_settings(tmp_path))
        assert made.check(60)
        pid = made.pid
        caught: list[BaseException] = []

        def hang(shop: Workshop = made, caught: list[BaseException] = caught) -> None:
            try:
                prepare(shop, "prepare-hang")
            except Cancelled as error:
                caught.append(error)

        thread = threading.Thread(target=hang)
        thread.start()
        dream(made, prepare(made, "sky"))
        time.sleep(0.2)
        begun = time.monotonic()
        made.close()
        thread.join(5)
        assert time.monotonic() - begun < 3
        assert len(caught) == 1
        assert not psutil.pid_exists(pid or 0)
        made.close()
        with pytest.raises(Cancelled):
            prepare(made, "sky")
    wait_until(lambda: psutil.Process().num_fds() <= before, what=lambda: psutil.Process().open_files())


def test_a_device_that_is_not_there_is_told_as_the_mistake_that_it_is(tmp_path: Path) -> None:
    made = workshop(make_settings(tmp_path), "tests.daemon.worker_stub:make_and_raise")
    with pytest.raises(BadOption, match=r"engine.device: 'cuda:7' is not here. Valid: cpu."):
        made.check(60)
    assert "cuda:7" in str(made.troubles())
    made.close()


def test_what_the_worker_logs_and_prints_is_in_the_daemons_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    made = workshop(make_settings(tmp_path), "tests.daemon.worker_stub:make_and_talk")
    assert made.check(60)
    wait_until(lambda: "a word from the factory" in caplog.text)
    record = next(each for each in caplog.records if "from the factory" in each.getMessage())
    assert (record.name, record.levelname) == ("deepdream_plugins.talk", "WARNING")
    assert vars(record)["worker"] == made.pid
    wait_until(lambda: "printed there" in capsys.readouterr().out)
    made.close()


def test_a_plugin_that_is_disabled_there_is_disabled_here_and_the_other_way_round(shop: Workshop) -> None:
    health = Health()
    health.disable("stranger", "it failed here")
    shop.share_health(health)
    prepared = prepare(shop, "prepare-disable-another")
    assert prepared.megapixels > 0
    wait_until(lambda: bool(shop.share_health(health)) or set(health.disabled) == {"stranger", "another"})
    assert health.disabled["another"] == "it failed there"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has scores for that")
def test_the_kernel_would_take_the_worker_first(shop: Workshop) -> None:
    score = int(Path(f"/proc/{shop.pid}/oom_score_adj").read_text())
    assert score > int(Path("/proc/self/oom_score_adj").read_text())
    assert score >= 500


def test_failpoints_of_the_daemon_are_not_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_FAILPOINT", "worker.prepared")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nowhere")
    made = workshop(make_settings(tmp_path))
    assert made.check(60)
    found = psutil.Process(made.pid).environ()
    made.close()
    assert "DEEPDREAM_FAILPOINT" not in found
    assert "NOTIFY_SOCKET" not in found

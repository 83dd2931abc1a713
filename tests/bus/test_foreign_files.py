# SPDX-License-Identifier: Apache-2.0
"""Files that somebody else could have written, and file systems that do not answer."""

import os

import pytest
from standin.credential_file import CredentialFile
from standin.wait import wait_for

NOBODY = 65534


def give_away(path):
    os.chown(path, NOBODY, -1)


def give_directory_away(path):
    os.chown(path.parent, NOBODY, -1)
    os.chown(path.parent.parent, NOBODY - 1, -1)


def open_to_all(path):
    path.chmod(0o666)


def open_directory_to_all(path):
    path.parent.chmod(0o777)


def plant(host, how):
    """One of theirs, in one step: a file that is in order for a moment is read, and rightly."""
    planted = CredentialFile(host.credentials.path.with_name("planted"))
    planted.login("planted.example.com", "mallory", "x")
    how(planted.path)
    planted.path.rename(host.credentials.path)


@pytest.mark.parametrize("how, why", [
    (give_away, r"config.json belongs to user 65534; run 'chown root "),
    (give_directory_away, r"\.docker belongs to user 65534; run 'chown root "),
    (open_to_all, "config.json can be written by others; run 'chmod go-w "),
    (open_directory_to_all, r"\.docker can be written by others; run 'chmod go-w "),
])
def test_a_file_that_others_can_change_is_not_read(host, how, why):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    daemon = host.run_live()
    host.login()
    host.wait_live()
    before = host.written()
    how(host.credentials.path)
    daemon.wait_said(f"config.json: is not read, since others can change it: .*{why}")
    plant(host, how)
    host.look_again()
    assert host.written() == before
    assert "planted.example.com" not in (host.directory / "run" / "status.json").read_text()


def test_strict_modes_can_be_turned_off(host):
    host.login()
    open_to_all(host.credentials.path)
    host.run(Credentials_StrictModes="no")
    host.wait_live()


def test_settings_that_others_can_change_are_not_taken(host):
    daemon = host.run_live()
    host.config.write_text("[Restart]\nMethod=none\n")
    host.config.chmod(0o666)
    daemon.hang_up()
    daemon.wait_said("ecs-authd.conf: cannot read the settings: .* can be written by others; run 'chmod go-w ")
    daemon.wait_said("The settings in use stay in use")
    daemon.stop()
    result = host.run_verb("apply")
    assert result.returncode == 78 and "can be written by others" in result.stderr


def test_files_that_everybody_can_read(host):
    """They are used, and it is said."""
    host.login()
    for path in (host.directory, host.credentials.path.parent, host.credentials.path.parent.parent):
        path.chmod(0o755)
    for path in (host.credentials.path, host.environment_file):
        path.chmod(0o644)
    daemon = host.run()
    host.wait_live()
    for path in (host.credentials.path, host.environment_file):
        daemon.wait_said(f"{path}: everybody on this host can read the passwords in it; run 'chmod 600 {path}'")
        path.chmod(0o600)
    daemon.hang_up()
    daemon.wait_said("are in order again")


def test_a_state_directory_for_all(host):
    """What somebody may have put there is not believed."""
    (host.directory / "state").mkdir(0o777)
    (host.directory / "state").chmod(0o777)
    host.login()
    daemon = host.run()
    host.wait_written()
    daemon.wait_said("a restart cannot be written down there: Operation not permitted")


# --- a file system that hangs ---

def test_hung_file_system(host, hung):
    """It delays neither the start, nor what the other files say, nor a reload, nor the end."""
    del host.settings["Credentials.File"]
    host.config.write_text(f"[Credentials]\nFile={hung.path}/config.json\nFile={host.credentials.path}\n")
    host.login()
    daemon = host.run()
    wait_for(lambda: host.notify.count("READY=1"), 4, "it is ready", host.seen)
    host.wait_written()
    daemon.wait_said("hung/config.json: cannot be read: Connection timed out")

    daemon.hang_up()
    daemon.wait_said("Reading the settings again", seconds=1)
    daemon.process.terminate()
    assert daemon.process.wait(6) == 0  # 2 s for what is being read, and 2 more for a look that begins after it


def test_settings_in_a_hung_file_system(host, hung):
    """A reload with which they lead there delays neither what is written meanwhile nor the end."""
    daemon = host.run_live()
    host.config.unlink()
    host.config.symlink_to(hung.path / "ecs-authd.conf")
    daemon.hang_up()
    daemon.wait_said("Reading the settings again")
    host.login()
    host.wait_written(4)
    daemon.process.terminate()
    assert daemon.process.wait(4) == 0


def test_ready_with_a_hung_environment_file(host, hung):
    """Nothing can be written, and the boot does not wait for that."""
    host.login()
    daemon = host.run(Agent_EnvironmentFile=hung.path / "ecs.config")
    wait_for(lambda: host.notify.count("READY=1"), 13, "it is ready", host.seen)
    assert daemon.said("the agent is not kept waiting for them")


def test_hung_file_system_that_has_taken_the_request(host, hung):
    """The process of the job does not end. Its report counts all the same, and the next job is begun."""
    hung.take_requests()
    del host.settings["Credentials.File"]
    host.config.write_text(f"[Credentials]\nFile={hung.path}/config.json\nFile={host.credentials.path}\n")
    host.login()
    daemon = host.run()
    wait_for(lambda: host.notify.count("READY=1"), 6, "it is ready", host.seen)
    host.wait_written()
    daemon.wait_said("hung/config.json: cannot be read: Connection timed out")
    host.login("second.example.com")
    daemon.hang_up()
    host.wait_written()
    daemon.process.terminate()
    assert daemon.process.wait(6) == 0


def test_nothing_is_left_of_a_job_that_hung(host, hung):
    """It ends when the file system answers again, and somebody waits for that: no zombie, of which a unit may have but a few."""
    hung.take_requests()
    host.settings["Credentials.File"] = hung.path / "config.json"
    daemon = host.run()
    daemon.wait_said("hung/config.json: cannot be read: Connection timed out")
    wait_for(lambda: "ecs-authd-job" in host.children().values(), 10, "the job hangs", host.seen)
    hung.end()
    host.wait_idle()


def test_nothing_is_left_of_a_watcher_that_hung(host, hung):
    """A watcher that does not end at once, because of a file system or of a busy host, stayed a zombie after a reload."""
    host.settings["Credentials.File"] = None
    hung.take_requests()
    host.config.write_text(f"[Credentials]\nFile={hung.path}/config.json\n")
    daemon = host.run()
    daemon.wait_said("hung/config.json: cannot be read: Connection timed out")
    host.config.write_text(f"[Credentials]\nFile={host.credentials.path}\n")
    daemon.hang_up()
    daemon.wait_said("^Watching")
    hung.end()
    host.wait_idle()


def test_metrics_in_a_hung_file_system(host, hung):
    """They cost nothing but themselves, and the status says so."""
    daemon = host.run_live(Status_MetricsFile=hung.path / "ecs-authd.prom")
    told = "ecs-authd.prom: cannot be written: Connection timed out"
    wait_for(lambda: host.status()["state"] == "live" and told in (host.status()["metrics_error"] or ""), 15,
             "the status tells of it", host.seen)
    daemon.process.terminate()
    assert daemon.process.wait(4) == 0
    assert not (host.directory / "run/status.json").exists()


def test_file_system_answers_again(host, hung):
    host.settings["Credentials.File"] = hung.path / "config.json"
    daemon = host.run()
    daemon.wait_said("hung/config.json: cannot be read: Connection timed out")
    hung.end()
    host.credentials.path.parent.mkdir(parents=True)
    host.credentials.path = hung.path / "config.json"
    host.login()
    daemon.hang_up()  # the mount namespace of another test may keep the file system, and nobody tells that it is not here any more
    host.wait_written()

# SPDX-License-Identifier: Apache-2.0
"""Each system call that ecs-authd makes fails, once and for good, with each error that fits it; and its process is killed before
each of them that others can notice, which is also right after the one before it."""

import errno
import re

from traced_host import HELPER_REGISTRY, LATER_REGISTRY, Helper, Host, SECONDS, SCENARIOS, Tools, play, sample, serve

# What cannot fail, or not so that a program could do anything about it.
CANNOT_FAIL = """brk exit exit_group futex getegid geteuid getgid getpid getppid gettid getuid madvise munmap mprotect
restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list umask wait4 waitid""".split()

# The first one is what fails for good.
ERRORS = {
    "openat open": "EIO EMFILE EACCES ENOMEM EINTR ENOSPC",
    "read pread64 readv": "EIO EINTR",
    "write pwrite64 writev": "ENOSPC EIO EINTR",
    "fsync fdatasync": "EIO ENOSPC",
    "rename renameat renameat2 linkat": "EIO ENOSPC EACCES EINVAL",
    "unlink unlinkat mkdir mkdirat": "EIO EACCES ENOSPC",
    "fchmod fchown fsetxattr fchmodat": "EPERM EIO",
    "fstat newfstatat statx lseek getdents64": "EIO ENOMEM",
    "flock": "ENOLCK EINTR EAGAIN",
    "fcntl": "EMFILE EAGAIN ENOLCK",
    "mmap memfd_create": "ENOMEM EMFILE",
    "clone clone3 fork vfork": "EAGAIN ENOMEM",
    "pipe2 socket socketpair epoll_create1 timerfd_create signalfd4": "EMFILE ENOMEM",
    "eventfd2 inotify_init1 pidfd_open dup dup2 dup3": "EMFILE ENOMEM",
    "connect": "ECONNREFUSED EINTR EAGAIN",
    "sendto sendmsg": "EPIPE EINTR",
    "recvfrom recvmsg": "ECONNRESET EINTR",
    "poll ppoll epoll_wait epoll_pwait clock_nanosleep": "EINTR",
    "inotify_add_watch epoll_ctl": "ENOSPC ENOMEM",
    "access faccessat faccessat2 readlink readlinkat": "EACCES EIO",
    "prctl prlimit64 close_range kill tgkill": "EPERM",
    "getrandom": "EINTR ENOSYS",
    "execve": "ENOENT ENOMEM EACCES",
}
ERRORS = {call: errors.split() for calls, errors in ERRORS.items() for call in calls.split()}
PASSES = ["EINTR"]  # by itself: such a call is made again, so it cannot fail for good

QUIET = ["write", "writev", "sendmsg", "sendto"]  # one that cannot say anything says nothing
WRITES = ("apply", "plain", "run")
LIE = "nothing was written"


def cases_of(tools, scenario):
    """SCENARIO:PROCESS:CALL:N:ERROR:once or ever, and SCENARIO:PROCESS:CALL:N:kill:before or all."""
    with Host(tools, scenario) as host:
        ended = host.traced("list", during=serve if scenario == "run" else None)
    calls = [(process, tools.names.get(number, number)) for process, number in ended.calls]
    fails = {process for process, call in calls if takes_errors(scenario, process, calls)}
    counts = {}
    for process, call in calls:
        n = counts[process, call] = counts.get((process, call), 0) + 1
        place = f"{scenario}:{process}:{call}:{n}"
        if call in CANNOT_FAIL:
            if call == "exit_group":
                yield f"{place}:kill:before"
            continue
        yield f"{place}:kill:before"
        if scenario == "plain":
            yield f"{place}:kill:all"
        errors = ERRORS.get(call, ["EIO"])[:len(ERRORS) if scenario == "apply" else 1] if process in fails else []
        yield from (f"{place}:{error}:once" for error in errors)
        if errors and errors[0] not in PASSES:
            yield f"{place}:{errors[0]}:ever"


def takes_errors(scenario, process, calls):
    """The jobs of one scenario are those of another, but for the one that asks Docker."""
    return scenario not in ("plain", "run") or scenario == "run" and (process == "0" or (process, "connect") in calls)


def told_wrongly(host, ended, contents):
    """A pass that follows our own write may fail: the write itself was announced before that."""
    before, lie, after = ended.said.rpartition(LIE)
    newest = contents.later[1] if host.scenario == "run" else contents.complete
    announced = host.scenario == "run" and re.search(f"Wrote .*{re.escape(LATER_REGISTRY)}", before)
    return lie and "Wrote" not in after and not announced and host.content() == newest and f'said "{LIE}", but it was'


def judge(host, ended, contents):
    """The promises that hold whatever fails, of one run."""
    scenario, content = host.scenario, host.content()
    yield ended.hung and f"not ended within {SECONDS} s"
    yield from ended.crashes()
    if content not in (contents.all() if scenario in WRITES else [contents.old]):
        yield f"ecs.config is neither old nor new: {content!r}"
    if scenario in ("apply", "plain"):
        yield ended.status == 0 and content != contents.complete and "exit status 0, but ecs.config is not the new one"
    if scenario == "render":
        data = [line for line in contents.complete.decode().splitlines() if line.startswith("ECS_ENGINE_AUTH_")]
        kept = f"{HELPER_REGISTRY} from" in ended.said  # a helper that fails: its entry would be kept, and that is said
        yield ended.status == 0 and ended.out.splitlines() != data and not kept and "exit status 0, but not what would be written"
    if scenario == "status":
        yield ended.status == 0 and "All is well" not in ended.out and "exit status 0, but without the status"
    yield ended.status in range(1, 128) and not ended.hung and not ended.said and not ended.out and \
        f"exit status {ended.status} without a word"


def judge_next(host, contents):
    """And of the pass after it, in which nothing fails."""
    if host.scenario not in WRITES:
        return
    ended, content = host.apply(), host.content()
    expected = contents.later[1] if host.scenario == "run" else contents.complete
    yield ended.returncode != 0 and f"the next pass ends with {ended.returncode}: {ended.stderr.strip()}"
    yield content != expected and f"the next pass does not mend ecs.config: {content!r}"
    yield host.leftovers() and f"left after the next pass: {[path.name for path in host.leftovers()]}"


def inject(tools, case):
    scenario, process, call, n, error, when = case.split(":")
    contents = tools.contents[scenario]
    place = f"{process}:{tools.numbers[call]}:{n}"
    what = f"{when}:{place}" if error == "kill" else f"{when}={getattr(errno, error)}:{place}"
    with Host(tools, scenario) as host:
        ended = host.traced(what, during=serve if scenario == "run" else None)
        if ended.hit is None:
            return None
        mute = call in QUIET and (when == "ever" or ended.hit in ("1", "2"))
        problems = [*judge(host, ended, contents), told_wrongly(host, ended, contents), *judge_next(host, contents)]
        return [problem for problem in problems if problem and not (mute and "without a word" in problem)]


def torture(program, short, case):
    with Helper() as helper:
        tools = Tools(program, helper)
        if case:
            cases = [case]
        else:
            cases = [name for scenario in SCENARIOS for name in sample(list(cases_of(tools, scenario)), short)]
        return play("inject", cases, lambda name: inject(tools, name), program)

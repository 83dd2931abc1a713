# SPDX-License-Identifier: Apache-2.0
"""Each allocation of ecs-authd fails, by itself and with all that follow it in its process. Of those of libcrypto, thousands at
the start of each job, some.

Some libraries cannot bear it: json-c (to 0.16) takes the name of a member for there, OpenSSL its locks. A job or a verb that they
end so is only counted, the loop never is to be ended."""

from pathlib import Path

from torture_inject import judge, judge_next, told_wrongly
from traced_host import Helper, Host, SCENARIOS, Tools, play, sample, serve

CRYPTO_EACH = 50  # one in so many


def cases_of(tools, scenario):
    """SCENARIO:PROCESS:N:once or ever."""
    with Host(tools, scenario) as host:
        counts = host.directory / "counts"
        host.traced(during=serve if scenario == "run" else None, TORTURE_COUNTS=str(counts))
        lines = [line.split(" ") for line in counts.read_text().splitlines()]
    for process, who in sorted(lines):
        for n, letter in enumerate(who, 1):
            if letter == "o" or n % CRYPTO_EACH == 0:
                yield f"{scenario}:{process}:{n}:once"
            if letter == "o" and (scenario != "run" or process == "0"):
                yield f"{scenario}:{process}:{n}:ever"


def fail_allocation(tools, case):
    scenario, process, n, when = case.split(":")
    contents = tools.contents[scenario]
    with Host(tools, scenario) as host:
        refused = host.directory / "refused"
        ended = host.traced(during=serve if scenario == "run" else None, TORTURE_ALLOCATION=f"{when}:{process}:{n}",
                            TORTURE_REFUSED=str(refused))
        if not refused.exists():
            return None
        owner = Path(refused.read_text().split("\n")[0]).name
        if ended.crashes() and owner != host.tools.program.name and not (scenario == "run" and process == "0"):
            tools.measured[f"ended in {owner}"] += 1
            ended.died.clear()
        problems = [*judge(host, ended, contents), told_wrongly(host, ended, contents)]
        if scenario in ("apply", "run") and (ended.status != 0 or scenario == "run"):
            problems += judge_next(host, contents)
        return [f"{problem} ({owner})" for problem in problems if problem]


def torture(program, short, case):
    with Helper() as helper:
        tools = Tools(program, helper)
        if case:
            cases = [case]
        else:
            scenarios = [name for name in SCENARIOS if name != "plain"]  # its jobs are those of apply
            cases = [name for scenario in scenarios for name in sample(list(cases_of(tools, scenario)), short)]
        figures = play("oom", cases, lambda name: fail_allocation(tools, name), program)
        figures.measured.update(tools.measured)
        return figures

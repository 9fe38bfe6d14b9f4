# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of a circular dependency, on three hosts over SSH. Ends with 0 if every act went as told.

Runs the playbooks beside it, which are written as anybody would write them. `make demo` prepares the rest.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from fleet import Fleet, FleetError

DEMO = Path(__file__).resolve().parent
ROOT = DEMO.parent
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
COLLECTIONS = ROOT / "build" / "collections"
PAGE = ROOT / "build" / "demo.html"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"
QUICK = 1000        # ms; a denied access that takes longer looks like an outage to the one who waits


class Demo:
    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.unmet: list[str] = []
        self.act_title = ""
        # what the story writes, reports and a baseline, is not to stay with the caller either, but for one page
        self.directory = fleet.directory / "demo"
        shutil.copytree(DEMO, self.directory)
        # no setting of the caller's may change the story, and nothing of the story is to stay with the caller
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("ANSIBLE_")}
        self.environment.update(
            ANSIBLE_CONFIG=str(DEMO / "ansible.cfg"), ANSIBLE_INVENTORY=str(fleet.inventory),
            ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS), ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="false",
            ANSIBLE_HOME=str(fleet.directory / "ansible"), ANSIBLE_NOCOLOR="true", EBPF_GUARD_REPORT_DIR="reports",
            EBPF_GUARD_REPORTS="json,html")

    def act(self, title: str, story: str) -> None:
        self.act_title = title
        self.fleet.forget_logs()
        print("\n" + paint(title, BOLD))
        tell(story)

    def play(self, *arguments: str) -> tuple[int, str]:
        """Runs a playbook; returns its exit status and its whole output."""
        print(paint("\n  $ " + shlex.join(["ansible-playbook", *arguments]), BOLD), flush=True)
        began = time.monotonic()
        process = subprocess.Popen([PLAYBOOK, *arguments], cwd=self.directory, env=self.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output = process.communicate(timeout=120)[0]
        except BaseException:
            process.terminate()
            process.wait()
            raise
        print(paint(f"    exit status {process.returncode} after {time.monotonic() - began:.1f} s", DIM))
        return process.returncode, output

    def expect(self, fact: bool, said: str, output: str = "") -> None:
        """Checks what the story says; where it is wrong, shows what there was instead."""
        print("  " + (paint("as told: ", GREEN) if fact else paint("NOT AS TOLD: ", RED)) + said)
        if not fact:
            if not any(one.startswith(self.act_title) for one in self.unmet):
                show(output.splitlines()[-60:])
            self.unmet.append(f"{self.act_title}: {said}")

    def clients(self, service: str) -> set[str]:
        """Who has reached a service in this act."""
        names = {self.fleet.address(node, family): node for node in [*self.fleet.hosts, "api.internal"]
                 for family in (4, 6)}
        return {names.get(line["client"], line["client"]) for line in self.fleet.log(service)}

    # The acts

    def good_day(self) -> None:
        self.act("1. A good day", """
            mysql carries github.com. Three hosts get a new mysql, by a script of two lines. Neither names
            github.com.""")
        show(commands("deploy.sh"))
        status, output = self.play("unguarded.yml")
        show(recap(output))
        self.expect(status == 0, "the deployment works", output)
        self.expect(self.clients("github.com") == {*self.fleet.hosts, "api.internal"},
                    "yet each host asked github.com, and so did api.internal")

    def drill(self) -> None:
        self.act("2. A drill: what if github.com were down?", """
            On the day on which its database is broken, a new mysql would repair it. Nobody has to wait for that
            day. github.com is up, and the role takes it away from this deployment alone, as an outage does:
            nobody answers.""")
        status, output = self.play("site.yml", "-e", "ebpf_guard_mode=drill")
        drill = output.partition("\nDRILL\n")[2].split("\n\n")[0]
        show(lines_with(output, "schema-tool:")[:1] + drill.splitlines())
        self.expect(status == 2 and says(drill.splitlines(), "Deploy mysql (tasks/deploy.yml", "github.com timeout", "survived on none of 3 hosts"),
                    "the repair of github.com needs github.com: it fails", output)
        waited = [float(seconds) for seconds in re.findall(r" ([\d.]+) s +no$", drill, re.MULTILINE)]
        self.expect(bool(waited) and min(waited) > 1, f"before that it waits, for {max(waited, default=0):.1f} seconds", output)
        self.expect(not self.clients("github.com"), "nothing of it reached github.com")

    def monitor(self) -> None:
        self.act("3. Monitor: what does the deployment need?", """
            The same tasks run in the role again, which denies nothing in this mode and names what would close
            the circle.""")
        status, output = self.play("site.yml", "-e", "ebpf_guard_mode=monitor")
        block = rows_of("web1", output)
        show(block + table(output))
        self.expect(status == 0, "the deployment works as before", output)
        self.expect(self.clients("github.com") == {*self.fleet.hosts, "api.internal"}, "nothing was denied")
        self.expect(says(block, "github.com", "schema-tool prepare", "Deploy mysql (tasks/deploy.yml"),
                    "the hidden dependency has a name, a task and a command", output)
        self.expect(says(block, "api.internal", "http://api.internal/migrate"),
                    "the one through api.internal, too", output)

    def enforce(self) -> None:
        self.act("4. Enforce: the good day on which it fails", """
            Somebody was in a hurry and made the script ignore errors. github.com is up, so by itself nothing
            would tell that the circle is still there.""")
        show(commands("deploy-hurried.sh"))
        status, output = self.play("site.yml", "-e", "deploy_script=deploy-hurried.sh")
        block = rows_of("web1", output)
        show(lines_with(output, "schema-tool:")[:1] + failure(output) + block + table(output))
        self.expect(status == 2, "the run fails with exit status 2", output)
        self.expect(all(re.search(rf"{host} .*failed=1 ", output) for host in self.fleet.hosts)
                    and output.count("Deploy mysql]") == 1 and not lines_with(output, "rc: "),
                    "each host fails, although the script ended well", output)
        self.expect(says(block, "rule github", "why github.com runs on the database", "Deploy mysql",
                         "schema-tool prepare", "db-team", "https://wiki.example/no-github-in-deploys"),
                    "the report has rule, reason, task, command, owner and runbook", output)
        self.expect(not self.clients("github.com") and not self.clients("api.internal"),
                    "nothing reached github.com or api.internal")
        waited = [int(spent) for spent in re.findall(r"after (\d+) ms: \[Errno -2\] Name or service", output)]
        self.expect(len(waited) == len(self.fleet.hosts) and max(waited) < QUICK,
                    f"denied at once: the tool waited {max(waited, default='?')} ms at most", output)

    def mended(self) -> None:
        self.act("5. The circle is open", """
            The tool looks for updates at the mirror, and migrates without the API.""")
        show(commands("deploy-mended.sh"))
        self._run_mended("the deployment passes under enforce")
        self.fleet.stop("github.com")
        tell("\nAnd on the day that counts, with github.com down:")
        self._run_mended("the repair of github.com works without github.com")

    def _run_mended(self, said: str) -> None:
        self.fleet.forget_logs()
        status, output = self.play("site.yml", "-e", "deploy_script=deploy-mended.sh", "-e", "ebpf_guard_observe=true")
        show(table(output))
        self.expect(status == 0 and output.count("clean, nothing denied") == len(self.fleet.hosts), said, output)
        self.expect(not self.clients("github.com") and self.clients("mirror.example") == set(self.fleet.hosts),
                    "each host asked the mirror, and nothing asked github.com")

    def map_and_memory(self) -> None:
        self.act("6. The map and the memory", """
            Nobody has to know the circle. Who depends on whom is written down once, for all deployments:""")
        self.fleet.start("github.com")
        status, output = self.play("loopbreak.deploy.map", "-e", "ebpf_guard_services=policies/services.yml",
                                   "-e", "ebpf_guard_service=mysql")
        show(output.partition("deployment must do without:\n")[2].partition("\n\nServices")[0].splitlines()[1:])
        self.expect(status == 0 and "api.internal → github.com → mysql" in output, "the map has the path", output)
        tell("\nAnd what the deployment needs is learned from its reports:")
        status, output = self.play("loopbreak.deploy.learn", "-e", "ebpf_guard_reports=reports", "-e",
                                   "ebpf_guard_baseline=policies/mysql.deps.yml")
        show(lines_with(output, " runs, on "))
        self.expect(status == 0 and says(lines_with(output, "host mirror.example (80)"), "on 3 hosts"),
                    "the baseline has the mirror", output)
        tell("\nThe tool's next version has two habits more. The policy has no rule of its own:")
        show(commands("deploy-updated.sh"))
        status, output = self.play("site.yml", "-e", "deploy_script=deploy-updated.sh", "-e",
                                   "ebpf_guard_policy=policies/mapped.yml")
        block = rows_of("web1", output)
        show(block + table(output))
        self.expect(status == 2 and says(block, "transient", "api.internal → github.com → mysql", "service:api.internal"),
                    "api.internal is denied, and the report has the path", output)
        self.expect(says(block, "NEW", "registry.example", "Deploy mysql (tasks/deploy.yml", "curl --silent"),
                    "what the baseline does not have is new, with task and command", output)
        pages = sorted((self.directory / "reports").glob("*.html"))
        self.expect(bool(pages), "the report is a page, too", output)
        if pages:
            shutil.copy(pages[-1], PAGE)


# What is worth showing of an output


def lines_with(output: str, word: str) -> list[str]:
    return [line.strip(" -'") for line in output.splitlines() if word in line]


def failure(output: str) -> list[str]:
    """The message of the first failed task."""
    message = output.partition("[ERROR]: ")[2].partition("\nOrigin: ")[0]
    return [part for line in message.splitlines() for part in textwrap.wrap(line, 76)]


def recap(output: str) -> list[str]:
    return [" ".join(line.split()) for line in output.partition("PLAY RECAP")[2].splitlines() if " ok=" in line]


def table(output: str) -> list[str]:
    """The callback's table over all hosts, and its last word."""
    guards = output.rpartition("\nGUARDS\n")[2].split("\n\n")[0]
    last_word = "".join(lines_with(output, ": exit status 2: "))
    return ["", *guards.splitlines(), *textwrap.wrap(last_word, 76)]


def rows_of(host: str, output: str) -> list[str]:
    """A host's report, with one row for each name: programs ask for it, connect, and present it."""
    found = re.search(rf"^GUARD \S+ on {host} .*\n(?:  .*\n)*", output, re.MULTILINE)
    head, *rows = re.split(r"^(?=  \S)", found.group() if found else "", flags=re.MULTILINE)
    kept = {}
    for row in sorted(rows, key=lambda row: "/tcp" not in row):
        name = re.match(r"  (?:WOULD DENY|DENIED|NEW)(?: \([a-z, ]+\))?  (?:\S+/\w+  )?([^\s:]+)", row)
        if name:
            kept.setdefault(name.group(1), row)
    return (head + "".join(kept.values())).splitlines()


def says(lines: list[str], *words: str) -> bool:
    text = " ".join(" ".join(lines).split())
    return all(word in text for word in words)


def commands(script: str) -> list[str]:
    lines = (DEMO / "files" / script).read_text().splitlines()
    return [f"{script}:"] + ["  " + line for line in lines if not re.match(r"#|set|exec|$", line)]


# Telling


def paint(text: str, colour: str) -> str:
    return f"\033[{colour}m{text}\033[0m" if COLOUR else text


def tell(story: str) -> None:
    print(textwrap.fill(" ".join(story.split()), 76, initial_indent="  ", subsequent_indent="  "))


def show(lines: list[str]) -> None:
    for line in lines:
        colour = (RED if re.search(r"\bDENIED|denied|exit status 2|schema-tool: no answer|failed=[1-9]", line)
                  else YELLOW if re.search(r"WOULD DENY|would", line) else GREEN if "clean" in line else DIM)
        print("\n".join("    " + paint(part, colour) for part in textwrap.wrap(line, 76)))


def main() -> None:
    for end in (signal.SIGTERM, signal.SIGHUP):     # as with Ctrl-C: take the fleet down first
        signal.signal(end, lambda number, _frame: sys.exit(128 + number))
    if not PLAYBOOK.exists() or not COLLECTIONS.exists():
        sys.exit("demo: run it with `make demo`, which builds what it needs")
    began = time.monotonic()
    PAGE.unlink(missing_ok=True)
    try:
        with Fleet("demo", hosts=3) as fleet:
            demo = Demo(fleet)
            for act in (demo.good_day, demo.drill, demo.monitor, demo.enforce, demo.mended, demo.map_and_memory):
                act()
    except FleetError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        print("\ndemo: stopped; the three hosts are gone")
        sys.exit(128 + signal.SIGINT)
    print(f"\nThe three hosts are gone. {time.monotonic() - began:.0f} seconds.")
    if PAGE.exists():
        print(f"The report of the last act is a page for your browser: {PAGE.relative_to(ROOT)}")
    if demo.unmet:
        sys.exit("\n".join(["demo: not everything went as told:", *demo.unmet]))


if __name__ == "__main__":
    main()

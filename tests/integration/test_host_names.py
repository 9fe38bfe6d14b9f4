# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A denied host is denied by its name, whatever its address: real clients, over SSH."""

from __future__ import annotations

import pytest
from hosts import KILL_AGENT, agents, inside
from names import (FETCH, GETADDRINFO, PYTHON, Try, asked_inside, attempts, file_with, name_rules, presented, until)

LOADERS = ("libbpf", "bcc")
TELL = ("import socket, sys; s = socket.create_connection((sys.argv[1], 80), 5); s.send(b\"hello\"); print(s.recv(9))")
GITHUB4, MIRROR4, SHARED4, PROXY = "192.0.2.10", "203.0.113.20", "203.0.113.50", "http://proxy:3128"
SHARED_NAMES, NAMELESS = "blocked.shared.example, open.shared.example", "(shared address, no name presented)"

ABORTED = "Software caused connection abort"  # what a connection ends with whose data was dropped

# --- what a process asks for ---

CLIENTS = [
    Try("curl -sS https://github.com/install.sh", "dns", "github.com", "Could not resolve host: github.com"),
    Try("git clone -q https://github.com/tool.git @DIR@/tool", "dns", "github.com", "Could not resolve host: github.com",
        by="git-remote-https origin https://github.com/tool.git"),
    Try("wget -q -O - https://github.com/install.sh", "dns", "github.com"),
    Try("wget -nv -O - http://www.github.com/", "dns", "www.github.com", "unable to resolve host address"),
    Try(f"{PYTHON} -c '{GETADDRINFO}' github.com", "dns", "github.com", "gaierror"),
    Try("getent ahosts github.com", "dns", "github.com"),
    Try("getent hosts api.github.com", "dns", "api.github.com"),
    Try("curl -sS https://GITHUB.com./install.sh", "dns", "github.com", "Could not resolve host"),
    Try("getent hosts deep.below.github.com", "dns", "deep.below.github.com"),
    Try("curl -sS https://notgithub.com/", says="notgithub.com"),
    Try("curl -sS https://github.com.example.org/", says="github.com.example.org"),
    Try("getent ahostsv4 mirror.github.com", says="203.0.113.21"),
    Try("curl -sS http://mirror.github.com/", says="mirror.github.com"),
    Try("curl -sS https://mirror.github.com/", says="mirror.github.com"),
    Try("wget -q -O - https://mirror.github.com/", says="mirror.github.com"),
    Try("dig +short mirror.github.com", says="203.0.113.21"),
    Try("git clone -q https://mirror.github.com/tool.git @DIR@/tool"),
]


def below_github(fleet):
    return {name for name in asked_inside(fleet) if f".{name}".endswith(".github.com")}


def test_real_clients_fail_at_once_and_allowed_names_work(controller, fleet):
    """Deny .github.com, allow mirror.github.com."""
    run, _outcomes, report = attempts(controller, CLIENTS, name_rules(allow=["mirror.github.com"]), compare=True)
    run.ended(2).said("failed=1", "github.com (DNS question)", "(rule github)", "owner    db-team",
                      "command  curl -sS https://github.com/install.sh", "Try the commands (")
    assert fleet.log("github.com") == []
    assert below_github(fleet) == {"mirror.github.com"}
    assert {"mirror.github.com", "notgithub.com", "github.com.example.org"} <= asked_inside(fleet)
    assert presented(fleet, "mirror.github.com") == {"mirror.github.com"}
    assert {(record["kind"], record["rule"], record["owner"]) for record in report["denied"]} == {
        ("dns", "github", "db-team")}
    assert report["counters"]["dns"]["denied"] == sum(record["count"] for record in report["denied"])


@pytest.mark.parametrize("protocol, status", [("+notcp", 0), ("+tcp", None)])
def test_dig_fails_at_once(controller, fleet, protocol, status):
    """For dig, that there is no such name is an answer as good as any."""
    asks = f"dig {protocol}"
    says = "" if status is None else "status: NXDOMAIN"
    attempts(controller, [
        Try(f"{asks} github.com", "dns", "github.com", says, status=status),
        Try(f"{asks} txt github.com", "dns", "github.com", says, status=status),
        Try(f"{asks} @203.0.113.53 www.github.com aaaa", "dns", "www.github.com", says, status=status),
        Try(f"{asks} -x {GITHUB4}", says="PTR"), Try(f"{asks} +short alias.example", says=GITHUB4),
    ], name_rules(), compare=True)
    assert below_github(fleet) == set()


def test_names_below_without_the_name_itself(controller, fleet):
    attempts(controller, [
        Try("curl -sS https://github.com/install.sh", says="tool 1.2.3"),
        Try("curl -sS https://api.github.com/", "dns", "api.github.com", "Could not resolve host"),
        Try("getent hosts www.github.com", "dns", "www.github.com"),
    ], name_rules(deny=["*.github.com"]))
    assert presented(fleet, "github.com") == {"github.com"}


def test_the_name_itself_without_names_below(controller, fleet):
    attempts(controller, [
        Try("curl -sS https://github.com/install.sh", "dns", "github.com", "Could not resolve host"),
        Try("curl -sS https://api.github.com/", says="api.github.com"),
    ], name_rules(deny=["github.com"]))
    assert presented(fleet, "github.com") == {"api.github.com"}


# --- names that share an address ---

@pytest.mark.parametrize("allow", [(), ("open.shared.example",)])
def test_names_on_one_address_are_told_apart(controller, fleet, allow):
    both = f"--resolve blocked.shared.example:443:{SHARED4} --resolve blocked.shared.example:80:{SHARED4}"
    known = "blocked.shared.example"  # as the names of the address, where none is presented
    run, _outcomes, report = attempts(controller, [
        Try("curl -sS http://open.shared.example/", says="open.shared.example"),
        Try("curl -sS https://open.shared.example/", says="open.shared.example"),
        Try("curl -sS https://blocked.shared.example/", "dns", "blocked.shared.example", "Could not resolve host"),
        Try(f"curl -sS {both} https://blocked.shared.example/", "tls", "blocked.shared.example"),
        Try(f"curl -sS {both} http://blocked.shared.example/", "http", "blocked.shared.example", ABORTED),
        Try(f"curl -sS -H 'Host: Blocked.Shared.Example.' http://{SHARED4}/", "http", "blocked.shared.example"),
        Try(f"curl -sS --http1.0 -H Host: http://{SHARED4}/", "http", known),
        Try(f"sh -c 'echo hello | nc -N -w 5 {SHARED4} 80'", "send", known, by=f"nc -N -w 5 {SHARED4} 80",
            status=0),  # nc does not tell
        Try(f"{PYTHON} -c '{TELL}' {SHARED4}", "send", known, ABORTED),
        Try(f"openssl s_client -noservername -connect {SHARED4}:443", "tls", known),
        Try(f"curl -sS http://{SHARED4}/", "http", known),
        Try(f"{PYTHON} -c \"{FETCH}\" ::ffff:{SHARED4}", "http", known, "abort"),
    ], name_rules(deny=["blocked.shared.example"], allow=allow))
    run.ended(2).said("blocked.shared.example:443/tcp (TLS)", "blocked.shared.example:80/tcp (HTTP)", f"at       {SHARED4}:443/tcp",
                      NAMELESS)
    nameless = [record for record in report["denied"] if record["name"] == SHARED_NAMES]
    assert sorted(record["kind"] for record in nameless) == ["http", "http", "http", "send", "send", "tls"]
    assert {record["name"] for record in report["denied"]} == {SHARED_NAMES, "blocked.shared.example"}
    assert {record["reason"].endswith(NAMELESS) for record in nameless} == {True}
    assert not any(NAMELESS in record["reason"] for record in report["denied"] if record not in nameless)
    assert presented(fleet, "shared.example") == {"open.shared.example"}
    assert "datagram" not in {line["event"] for line in fleet.log("shared.example")}


# --- ways around the question ---

def test_pinned_addresses_proxies_and_aliases(controller, fleet):
    pinned = f"--resolve github.com:443:{MIRROR4} --resolve github.com:80:{MIRROR4}"
    tries = [
        # the hosts file has it, and nobody knows of another name there so far
        Try("curl -sS --ipv4 https://api.github.com/", "connect", "api.github.com"),
        Try("getent ahosts mirror.example", says=MIRROR4),
        Try(f"curl -sS {pinned} https://github.com/", "tls", "github.com"),
        Try(f"curl -sS {pinned} http://github.com/", "http", "github.com", ABORTED),
        Try(f"curl -sS --resolve github.com:443:{GITHUB4} https://github.com/", "connect", "github.com"),
        Try("curl -sS --connect-to github.com:443:mirror.example:443 https://github.com/", "tls", "github.com"),
        Try("curl -sS https://api.github.com/", "tls", "api.github.com"),
        Try("curl -sS http://api.github.com/", "http", "api.github.com", ABORTED),
        Try(f"curl -sS -x {PROXY} http://github.com/", "http", "github.com", ABORTED),
        Try(f"curl -sS -x {PROXY} https://github.com/", "http", "github.com", ABORTED),
        Try(f"curl -sS -p -x {PROXY} http://www.github.com/", "http", "www.github.com", ABORTED),
        Try(f"curl -sS -x {PROXY} https://mirror.example/", says="mirror.example"),
        Try("curl -sS http://alias.example/", "connect", "alias.example"),
        Try("curl -sS https://deep.alias.example/", "connect", "deep.alias.example"),
        Try(f"curl -sS --resolve alias.example:443:{MIRROR4} https://alias.example/", "tls", "alias.example"),
        Try("curl -sS https://cdn.example/", "connect", "cdn.example"),
        Try(f"{PYTHON} -c \"{FETCH}\" ::ffff:{GITHUB4}", "connect", "github.com", "Permission"),
        Try("ping -c 1 -W 5 192.0.2.10", "connect", "github.com"),
        Try("curl -sS https://mirror.example/", says="mirror.example"),
    ]
    with file_with(fleet, "/etc/hosts", lambda before: f"{before}{MIRROR4} api.github.com\n"):
        run, _outcomes, _report = attempts(controller, tries, name_rules())
    run.ended(2)
    assert fleet.log("github.com") == []
    assert presented(fleet, "mirror.example", "shared.example") == {"mirror.example"}
    assert {line["target"] for line in fleet.log("proxy") if line["event"] == "request"} == {"mirror.example:443"}


TURNS = [f"curl -sS -A {number} http://{name}/" for name in ("zero.example", "rr.example") for number in range(10)]
SOME = [f"203.0.113.{last}" for last in (60, 61, 62, 63, 64)]


def test_an_address_that_must_not_be_kept_and_addresses_that_go_round(controller, fleet):
    attempts(controller, [Try(command, says=".example") for command in TURNS]
             + [Try("curl -sS http://mirror.example/", "dns", "mirror.example", rule=None)],
             {"version": 1, "mode": "enforce", "default": "deny", "resolve": {"interval": 0},
              "allow": [{"id": "wanted", "hosts": ["zero.example", "rr.example"]}]})
    assert len([line for line in fleet.log("others") if line["event"] == "request"]) == len(TURNS)


def test_such_names_are_denied_as_any_other(controller, fleet):
    attempts(controller, [Try(command, "dns", command.split("/")[2]) for command in TURNS]
             + [Try(f"curl -sS http://{address}/", "connect", "zero.example" if address == SOME[0] else "rr.example")
                for address in SOME],
             name_rules(deny=["zero.example", "rr.example"]))
    assert fleet.log("others") == []


# --- addresses that change ---

@pytest.fixture
def moving(fleet):
    yield lambda *addresses: fleet.point("moving.example", *addresses)
    fleet.point("moving.example", "203.0.113.80", "2001:db8:3::80")


def reaches(fleet, address):
    return inside(fleet, "curl", "-s", "-o", "/dev/null", "--max-time", "5", f"http://{address}/",
                  check=False).returncode == 0


def test_the_agent_follows_a_name_to_its_new_address(controller, fleet, moving):
    controller.call("ebpf_guard", policy=name_rules(mode="drill", deny=["moving.example"], interval=1))
    assert not reaches(fleet, "203.0.113.80") and reaches(fleet, "203.0.113.82")
    moving("203.0.113.82")
    took = until(lambda: not reaches(fleet, "203.0.113.82"), 5)
    assert took < 2.5  # an interval, and a resolver's time
    assert not reaches(fleet, "203.0.113.80")
    report = controller.call("ebpf_guard", state="absent")
    assert {(record["kind"], record["address"], record["name"]) for record in report["denied"]} == {
        ("connect", "203.0.113.80", "moving.example"), ("connect", "203.0.113.82", "moving.example")}


def test_an_answer_tells_of_a_new_address_at_once(controller, fleet, moving):
    """In monitor mode the question goes through; what is connected to then would be denied."""
    controller.call("ebpf_guard", policy=name_rules(mode="monitor", deny=["moving.example"]))
    moving("203.0.113.83")
    assert reaches(fleet, "203.0.113.83")
    inside(fleet, "curl", "-sS", "http://moving.example/")
    report = controller.call("ebpf_guard", state="absent")
    assert {(record["kind"], record["address"]) for record in report["denied"] if record["kind"] != "dns"} == {
        ("connect", "203.0.113.83"), ("http", "203.0.113.83")}
    assert {record["name"] for record in report["denied"]} == {"moving.example"}
    [nameless] = [record for record in report["observed"] if (record["kind"], record["address"]) == ("connect", "203.0.113.83")]
    assert nameless["count"] == 1


def test_without_its_agent_a_guard_denies_and_says_that_it_has_ended(controller, fleet):
    """All in one task: root's next one would bring it back."""
    run = controller.guarded([{"name": "Kill it", "ansible.builtin.shell":
                               f"{KILL_AGENT}; curl -sS https://github.com/; curl -sS http://{GITHUB4}/; true"}],
                             "-v", policy=name_rules(interval=1))
    run.ended(2).said("The guard's agent (pid", "has ended", "github.com (DNS question)", f"{GITHUB4}:80/tcp  github.com")
    assert fleet.log("github.com") == [] and agents(fleet) == []


# --- the search list ---

SEARCH = "search corp.example example\n"
SEALED = {"version": 1, "mode": "enforce", "default": "deny", "resolve": {"interval": 0},
          "allow": [{"id": "wanted", "hosts": [".open.shared.example", "begin.example"]}]}
SEARCHING = pytest.mark.parametrize("rules", [SEALED, name_rules(deny=[".corp.example"])], ids=["sealed", "domain"])


def no_expansion_arrived(fleet):
    return not [name for name in asked_inside(fleet) if name.endswith("shared.example.corp.example")]


@SEARCHING
def test_what_the_search_list_makes_of_a_name_is_no_denial(controller, fleet, rules):
    """Of a name that does not exist, so that the resolver library goes on to the list."""
    with file_with(fleet, "/etc/resolv.conf", lambda before: before + SEARCH):
        run, _outcomes, report = attempts(controller, [Try("getent hosts gone.open.shared.example", status=2)], rules)
    run.ended(0).said("clean, nothing denied")
    assert report["counters"]["search_list"] > 0 and report["denied"] == []
    assert no_expansion_arrived(fleet)


@SEARCHING
def test_a_search_list_that_goes_first_breaks_no_name(controller, fleet, rules):
    """ndots:5, as in a cluster: the resolver library asks for the name itself last, if it still does."""
    with file_with(fleet, "/etc/resolv.conf", lambda before: f"{before}{SEARCH}options ndots:5\n"):
        run, _outcomes, report = attempts(controller, [
            Try(f"{PYTHON} -c '{GETADDRINFO}' open.shared.example", says=SHARED4),
            Try("curl -sS http://open.shared.example/", says="open.shared.example"),
        ], rules)
    run.ended(0).said("clean, nothing denied")
    assert report["denied"] == []


def test_a_name_in_the_search_list_that_is_asked_for_is_denied(controller, fleet):
    with file_with(fleet, "/etc/resolv.conf", lambda before: before + SEARCH):
        attempts(controller, [Try("getent hosts secret.corp.example", "dns", "secret.corp.example"),
                              Try("getent hosts short", "dns", "short.corp.example")],
                 name_rules(deny=[".corp.example"]))


# --- what is only recorded ---

def test_monitor_mode_lists_every_name(controller, fleet):
    tries = [Try("curl -sS https://mirror.example/"), Try("curl -sS http://cdn.example/"),
             Try("curl -sS https://www.github.com/"), Try("dig +tcp txt mirror.example"),
             Try(f"curl -sS -x {PROXY} https://api.internal/"), Try("getent hosts nowhere.example", status=2)]
    run, _outcomes, report = attempts(controller, tries, name_rules(mode="monitor"))
    run.ended(0).said("WOULD DENY  www.github.com (DNS question)", "seen  mirror.example (DNS question)",
                      "seen  mirror.example:443/tcp (TLS)")
    seen = {(record["kind"], record["name"]) for record in report["observed"]}
    assert {("dns", "mirror.example"), ("tls", "mirror.example"), ("connect", "mirror.example"), ("dns", "cdn.example"),
            ("dns", "proxy"), ("connect", "proxy"), ("http", "api.internal"), ("dns", "nowhere.example")} <= seen, seen
    would = {(record["kind"], record["name"]) for record in report["denied"]}
    assert {("dns", "www.github.com"), ("tls", "www.github.com"), ("http", "cdn.example")} <= would, would
    assert presented(fleet, "github.com") == {"www.github.com"}


# --- encrypted DNS ---

def encrypted(rule="encrypted_dns"):
    deny = ("connect", None, "", rule) if rule else ()
    knock = f"{PYTHON} -c 'import socket; socket.create_connection((\"203.0.113.53\", 853), 5)'"
    tell = (f"{PYTHON} -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
            "s.sendto(b\"hello\", (\"203.0.113.53\", 853)); print(\"sent\")'")
    return [Try(knock, *deny, status=1), Try(tell, *(deny and ("send", *deny[1:]))),
            Try("getent hosts dns.google", *(deny and ("dns", "dns.google", "", rule)), status=2)]


def test_encrypted_dns_is_denied_where_names_are(controller, fleet):
    run, _outcomes, _report = attempts(controller, encrypted(), name_rules())
    run.ended(2).said("encrypted DNS would hide from the rules", "dns.google (DNS question)")
    assert "dns.google" not in asked_inside(fleet)


def test_encrypted_dns_can_be_allowed_or_expected(controller, fleet):
    run, _outcomes, _report = attempts(controller, encrypted(None), name_rules(encrypted_dns="allow"))
    run.ended(0).said("clean, nothing denied")
    assert "dns.google" in asked_inside(fleet)
    run, _outcomes, _report = attempts(controller, encrypted(), name_rules(expected=["encrypted_dns"]))
    run.ended(0).said("DENIED (expected)  dns.google (DNS question)")


# --- a guard's life ---

def test_an_exchange_keeps_what_was_heard(controller, fleet):
    rules = name_rules(mode="drill", deny=["blocked.shared.example"])
    again = ["curl", "-sS", "--resolve", f"*:80:{SHARED4}"]
    controller.call("ebpf_guard", policy=rules)
    inside(fleet, "curl", "-sS", "http://open.shared.example/")
    rules["deny"].append({"id": "more", "reason": "r", "hosts": ["other.example"]})
    assert controller.call("ebpf_guard", policy=rules)["changed"]
    assert "open.shared.example" in inside(fleet, *again, "http://open.shared.example/").stdout
    assert inside(fleet, *again, "http://blocked.shared.example/", check=False).returncode != 0
    assert inside(fleet, *again, f"http://{SHARED4}/", check=False).returncode != 0
    report = controller.call("ebpf_guard", state="absent")
    assert [(record["kind"], record["name"]) for record in report["denied"]] == [
        ("http", "blocked.shared.example"), ("http", SHARED_NAMES)]


def test_present_twice_changes_nothing(controller, fleet):
    rules = name_rules(allow=["mirror.github.com"], interval=1)
    first = controller.call("ebpf_guard", policy=rules)
    assert first["changed"] and first["guard"]["enforced"]["dns"] is True and first["guard"]["enforced"]["payload"] is True
    assert not controller.call("ebpf_guard", policy=rules)["changed"]
    assert not controller.call("ebpf_guard", state="absent")["denied"]


# --- name service daemons ---

@pytest.fixture
def nscd(fleet):
    """The C library's cache daemon on web1, outside the guard, which knows github.com by now."""
    fleet.exec("web1", "sh", "-ec", "mkdir -p /run/nscd; nscd; getent hosts github.com")
    yield
    fleet.exec("web1", "nscd", "--shutdown")


@pytest.mark.libbpf
def test_a_name_service_daemon_answers_nothing_that_is_denied(controller, fleet, nscd):
    """What it knows already needs no DNS question, so nobody would see it: its socket is refused."""
    _run, _outcomes, report = attempts(controller, [
        Try("getent ahosts github.com", "dns", "github.com"), Try("getent ahosts mirror.example", says=MIRROR4),
        Try("curl -sS https://notgithub.com/", says="notgithub.com"),
    ], name_rules())
    assert report["guard"]["enforced"]["unix"] is True
    assert report["counters"]["name_services"] >= 2


@pytest.mark.libbpf
def test_where_no_name_is_denied_a_name_service_daemon_may_be_asked(controller, fleet, nscd):
    _run, _outcomes, report = attempts(controller, [Try("getent ahosts github.com", says=GITHUB4)],
                                       name_rules(mode="monitor"))
    assert report["counters"]["name_services"] == 0
    assert report["guard"]["enforced"]["unix"] is True  # rules for sockets are, and this is none

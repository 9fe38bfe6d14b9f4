# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test hosts themselves: what other tests take for granted about them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import fleet as fleet_program
import fleet_kernel
import fleet_plan
import fleet_registry
import pytest
from fleet import Fleet, FleetError

FLEET = Path(__file__).resolve().parents[1] / "fleet"
CLI = [sys.executable, str(FLEET / "fleet.py")]
ME = f"selftest-{os.getpid()}"      # other fleets may be up on this machine meanwhile


@pytest.fixture(scope="module")
def fleet():
    with Fleet(ME, hosts=2) as up:
        yield up


@pytest.fixture
def quiet(fleet):
    fleet.forget_logs()
    return fleet


def python(fleet, node, code, *arguments):
    return fleet.exec(node, "/usr/bin/python3", "-c", textwrap.dedent(code), *arguments).stdout.strip()


# Logging in

@pytest.mark.parametrize(("user", "uid"), [
    ("root", 0), ("deploy", 1500), ("deploypw", 1501), ("plain", 1502),
])
def test_ssh_as(fleet, user, uid):
    assert fleet.ssh("web2", "id -u; hostname", user=user).stdout.split() == [str(uid), "web2"]


@pytest.mark.parametrize(("user", "command", "password", "works"), [
    ("deploy", "sudo -n id -u", None, True),
    ("deploypw", "sudo -n id -u", None, False),
    ("deploypw", "sudo -S id -u", fleet_plan.PASSWORD, True),
    ("deploypw", "sudo -S id -u", "wrong", False),
    ("plain", "sudo -n id -u", None, False),
    ("plain", "sudo -S id -u", fleet_plan.PASSWORD, False),
])
def test_sudo(fleet, user, command, password, works):
    given = {} if password is None else {"input": password + "\n"}
    done = fleet.ssh("web1", command, user=user, check=False, **given)
    assert (done.returncode == 0 and done.stdout.strip() == "0") == works, done.stderr


def test_ssh_knows_the_host_by_its_own_key(fleet):
    assert fleet.ssh("web1", "cat /etc/ssh/ssh_host_ed25519_key.pub").stdout != \
        fleet.ssh("web2", "cat /etc/ssh/ssh_host_ed25519_key.pub").stdout
    command = ["ssh", "-F", str(fleet.ssh_config), "-o", "HostKeyAlias=web2", "root@web1", "true"]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode == 255 and "REMOTE HOST IDENTIFICATION HAS CHANGED" in wrong.stderr


def test_ssh_gives_a_terminal(fleet):
    command = ["ssh", "-tt", "-F", str(fleet.ssh_config), "deploy@web1", "test -t 0 && echo terminal"]
    assert "terminal" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


# Names

QUESTION = """
    import socket, sys
    name, kind = sys.argv[1], int(sys.argv[2])
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = b"\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00" + labels + b"\\0"
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.sendto(query + kind.to_bytes(2, "big") + b"\\0\\x01", ("203.0.113.53", 53))
    answer = sock.recv(4096)
    print(answer[3] & 15, int.from_bytes(answer[6:8], "big"))
"""
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
A, MX, AAAA = 1, 15, 28


@pytest.mark.parametrize(("name", "kind", "code", "answers"), [
    ("github.com", A, NOERROR, 1), ("github.com", AAAA, NOERROR, 1), ("github.com", MX, NOERROR, 0),
    ("api.internal", A, NOERROR, 1), ("api.internal", AAAA, NOERROR, 1),
    ("mirror.example", A, NOERROR, 1), ("mirror.example", AAAA, NOERROR, 1),
    ("registry.example", A, NOERROR, 1), ("registry.example", AAAA, NOERROR, 0),
    ("www.github.com", A, NOERROR, 2),      # the CNAME and its target
    ("web2", A, NOERROR, 1),
    ("unstable.example", A, SERVFAIL, 0), ("unstable.example", AAAA, SERVFAIL, 0),
    ("other.example", A, NXDOMAIN, 0), ("example.com", AAAA, NXDOMAIN, 0), ("sub.github.com", A, NXDOMAIN, 0),
])
def test_resolver_answers(fleet, name, kind, code, answers):
    assert python(fleet, "web1", QUESTION, name, str(kind)) == f"{code} {answers}"


@pytest.mark.parametrize(("name", "database", "address"), [
    ("github.com", "ahostsv4", "192.0.2.10"), ("github.com", "ahostsv6", "2001:db8:2::10"),
    ("api.internal", "ahostsv4", "203.0.113.10"), ("mirror.example", "ahostsv6", "2001:db8:3::20"),
])
def test_names_resolve_through_the_c_library(fleet, name, database, address):
    assert fleet.exec("web1", "getent", database, name).stdout.split()[0] == address


def dig(fleet, *question):
    return fleet.exec("web1", "dig", "+short", *question).stdout.split("\n")[:-1]


@pytest.mark.parametrize(("question", "answers"), [
    ("api.github.com A", ["192.0.2.11"]), ("api.github.com AAAA", ["2001:db8:2::11"]),
    ("mirror.github.com A", ["203.0.113.21"]), ("mirror.github.com AAAA", ["2001:db8:3::21"]),
    ("notgithub.com A", ["203.0.113.40"]), ("github.com.example.org A", ["203.0.113.41"]),
    ("blocked.shared.example A", ["203.0.113.50"]), ("open.shared.example A", ["203.0.113.50"]),
    ("blocked.shared.example AAAA", ["2001:db8:3::50"]), ("open.shared.example AAAA", ["2001:db8:3::50"]),
    ("alias.example A", ["github.com.", "192.0.2.10"]),
    ("deep.alias.example AAAA", ["alias.example.", "github.com.", "2001:db8:2::10"]),
    ("cdn.example A", ["edge.github.com.", "203.0.113.50"]),
    ("zero.example A", ["203.0.113.60"]), ("proxy AAAA", ["2001:db8:3::70"]),
    ("moving.example A", ["203.0.113.80"]), ("unmoved.example AAAA", ["2001:db8:3::81"]),
    ("-x 192.0.2.10", ["github.com."]), ("-x 2001:db8:2::10", ["github.com."]),
    ("github.com TXT", ['"v=spf1 -all"']), ("mirror.example TXT", ['"a mirror of github.com"']),
])
def test_dig(fleet, question, answers):
    assert dig(fleet, *question.split()) == answers


@pytest.mark.parametrize(("option", "protocol"), [("+notcp", "udp"), ("+tcp", "tcp")])
@pytest.mark.parametrize("family", [4, 6])
def test_the_resolver_answers_on(quiet, family, option, protocol):
    server = quiet.address("resolver", family)
    assert dig(quiet, option, f"@{server}", "mirror.example") == ["203.0.113.20"]
    line = await_line(quiet, "resolver", event="query", type="A", name="mirror.example", protocol=protocol)
    assert line["client"] == quiet.address("web1", family)


@pytest.mark.parametrize(("name", "seconds"), [
    ("github.com", 30), ("zero.example", 0), ("moving.example", 30),
])
def test_time_to_live(fleet, name, seconds):
    answer = fleet.exec("web1", "dig", "+noall", "+answer", name).stdout.split()
    assert answer[:2] == [f"{name}.", str(seconds)]


def test_round_robin(fleet):
    answers = [dig(fleet, "rr.example") for _time in range(4)]
    addresses = {f"203.0.113.{number}" for number in (61, 62, 63, 64)}
    assert all(set(answer) == addresses for answer in answers)
    assert {answer[0] for answer in answers} == addresses       # each is the first one once


@pytest.fixture
def movable(quiet):
    yield quiet
    for name, addresses in fleet_plan.MOVABLE.items():
        quiet.point(name, *addresses)


@pytest.mark.parametrize("addresses", [
    ["203.0.113.82"], ["2001:db8:3::83"], ["192.0.2.10"], [],
    ["203.0.113.82", "203.0.113.83", "2001:0db8:3::82"],
])
def test_a_name_moves(movable, addresses):
    movable.point("moving.example", *addresses)
    assert movable.log("resolver") == []        # its own questions are not there
    found = dig(movable, "moving.example", "A", "moving.example", "AAAA")
    assert sorted(found) == sorted(address.replace(":0db8", ":db8") for address in addresses)
    assert dig(movable, "unmoved.example") == ["203.0.113.81"]


def test_a_server_awaits_the_name_where_it_moves(movable):
    spare = movable.address("spare.example")
    movable.point("moving.example", spare)
    assert movable.exec("web1", "curl", "-sS", "https://moving.example/").stdout == "this is moving.example\n"
    assert {line["address"] for line in movable.log("others")} == {spare}


def test_a_name_stays_moved_when_the_resolver_starts_again(movable):
    movable.point("unmoved.example", "203.0.113.83")
    movable.stop("resolver")
    movable.start("resolver")
    assert dig(movable, "unmoved.example") == ["203.0.113.83"]


def test_names_move_from_the_command_line(movable):
    subprocess.run([*CLI, "point", "--name", ME, "moving.example", "203.0.113.82"], check=True)
    assert dig(movable, "moving.example") == ["203.0.113.82"]


@pytest.mark.parametrize(("name", "address", "says"), [
    ("github.com", "192.0.2.1", "'github.com' stays where it is; the names that move are moving.example, "),
    ("moving.example", "192.0.2.300", "'192.0.2.300' does not appear to be an IPv4 or IPv6 address"),
])
def test_what_does_not_move(fleet, name, address, says):
    with pytest.raises(FleetError, match=says):
        fleet.point(name, address)


def test_a_stopped_resolver_moves_no_name(movable, monkeypatch):
    movable.stop("resolver")
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(fleet_program, "READY_WITHIN", 0)
            with pytest.raises(FleetError, match="does not say that moving.example is at"):
                movable.point("moving.example", "203.0.113.82")
    finally:
        movable.start("resolver")


def test_a_caching_daemon(quiet):
    """nscd resolves for every process of a host: a second lookup asks the resolver nothing."""
    quiet.exec("web2", "sh", "-ec", "mkdir -p /run/nscd; nscd")
    try:
        for _time in range(2):
            found = quiet.exec("web2", "getent", "ahostsv4", "mirror.example").stdout
            assert found.startswith("203.0.113.20 ")
        quiet.exec("web2", "getent", "ahostsv4", "registry.example")
        await_line(quiet, "resolver", name="registry.example", type="A")
        asked = [(line["name"], line["type"]) for line in quiet.log("resolver")]
        assert asked.count(("mirror.example", "A")) == 1
    finally:
        quiet.exec("web2", "nscd", "--shutdown")


# Servers

def await_line(fleet, service, **facts):
    """dnsmasq writes after it answers, so a line may come a moment after the answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in fleet.log(service):
            if facts.items() <= line.items():
                return line
        time.sleep(0.01)
    raise AssertionError(f"no line of {service} has {facts}; there are {fleet.log(service)}")


@pytest.mark.parametrize(("service", "family"), [
    ("github.com", 4), ("github.com", 6), ("api.internal", 4), ("api.internal", 6),
    ("mirror.example", 4), ("mirror.example", 6), ("registry.example", 4),
    ("mirror.github.com", 4), ("mirror.github.com", 6),
])
@pytest.mark.parametrize("port", [80, 8080])
def test_http(quiet, service, family, port):
    answer = quiet.exec("web1", "curl", "-sS", f"-{family}", f"http://{service}:{port}/").stdout
    assert answer == f"this is {service}\n"
    accept, request = quiet.log(service)
    client = quiet.address("web1", family)
    assert (accept["event"], accept["client"], accept["port"]) == ("accept", client, port)
    assert (request["event"], request["client"], request["path"]) == ("request", client, "/")
    assert (request["host"].partition(":")[0], request["tls"]) == (service, False)
    assert accept["address"] == request["address"] == quiet.address(service, family)


WEB_NAMES = {name: service for service in fleet_plan.WEB_SERVERS for name in fleet_plan.SERVICES[service]}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_name_is_served(fleet, scheme):
    answers = fleet.exec("web1", "curl", "-sS", *[f"{scheme}://{name}/" for name in WEB_NAMES]).stdout
    assert answers.splitlines() == [f"this is {name}" for name in WEB_NAMES]


@pytest.mark.parametrize(("name", "service"), [
    ("www.github.com", "github.com"), ("alias.example", "github.com"), ("deep.alias.example", "github.com"),
    ("cdn.example", "shared.example"), ("192.0.2.10", "github.com"), ("[2001:db8:3::40]", "others"),
])
def test_https_by_another_name(fleet, name, service):
    assert fleet.exec("web1", "curl", "-sS", f"https://{name}/").stdout == f"this is {service}\n"


@pytest.mark.parametrize("family", [4, 6])
def test_https_is_logged(quiet, family):
    quiet.exec("web1", "curl", "-sS", f"-{family}", "https://open.shared.example/path")
    lines = quiet.log("shared.example")
    assert [line["event"] for line in lines] == ["accept", "hello", "request"]
    for line in lines:
        assert (line["client"], line["address"], line["port"]) == \
            (quiet.address("web1", family), quiet.address("open.shared.example", family), 443)
    assert lines[1]["sni"] == lines[2]["sni"] == lines[2]["host"] == "open.shared.example"
    assert lines[2]["tls"] is True


def test_the_name_of_the_handshake_is_not_the_name_of_the_request(quiet):
    quiet.exec("web1", "curl", "-sS", "-H", "Host: blocked.shared.example", "https://open.shared.example/")
    request = quiet.log("shared.example")[-1]
    assert (request["sni"], request["host"]) == ("open.shared.example", "blocked.shared.example")


def test_a_handshake_without_a_name(quiet):
    quiet.exec("web1", "curl", "-sS", "https://192.0.2.10/")
    assert [line["sni"] for line in quiet.log("github.com")[1:]] == [None, None]


@pytest.mark.parametrize(("name", "status"), [
    ("any.github.com", 0), ("gitlab.com", 60), ("a.b.shared.example", 60),      # 60: not in the certificate
])
def test_certificates_are_for_certain_names(fleet, name, status):
    address = fleet.address("blocked.shared.example" if "shared" in name else "github.com")
    done = fleet.exec("web1", "curl", "-sS", "--resolve", f"{name}:443:{address}", f"https://{name}/",
                      check=False)
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize("command", [
    "curl -sS https://github.com/",
    "curl -sS --cacert /etc/ssl/fleet-ca.pem https://github.com/",
    "wget -qO- https://github.com/",
    """/usr/bin/python3 -c 'import urllib.request as client
print(client.urlopen("https://github.com/").read().decode())'""",
    """{ printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1; } |
        openssl s_client -connect github.com:443 -verify_return_error -ign_eof""",
])
def test_clients_trust_the_servers(fleet, command):
    assert "this is github.com\n" in fleet.ssh("web1", command, user="plain").stdout
    assert not Path(fleet_plan.CA).exists()


@pytest.mark.parametrize("url", [
    "https://github.com/tool.git", "https://mirror.github.com/tool.git", "http://mirror.github.com/tool.git",
])
def test_git(fleet, url):
    clone = f"set -e; cd $(mktemp -d); git clone -q {url} .; git fsck --strict; sh install.sh"
    cloned = fleet.ssh("web1", clone, user="plain")
    assert cloned.stdout == "tool 1.2.3 installed\n"


@pytest.mark.parametrize("path", ["/none", "/tool.git", "/tool.git/../../../../../etc/hostname"])
def test_no_such_page(fleet, path):
    status = fleet.exec("web1", "curl", "-sS", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}",
                        f"http://github.com{path}").stdout
    assert status == "404"


# Proxy

@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("url", "method", "target"), [
    ("http://github.com/install.sh?x", "GET", "http://github.com/install.sh?x"),
    ("https://github.com/install.sh", "CONNECT", "github.com:443"),
])
def test_proxy(quiet, url, method, target, family):
    answer = quiet.exec("web1", "curl", "-sS", f"-{family}", "-x", "http://proxy:3128", url).stdout
    assert answer.endswith("echo tool 1.2.3 installed\n")
    accept, request = quiet.log("proxy")
    assert (accept["client"], accept["port"]) == (quiet.address("web1", family), 3128)
    assert (request["event"], request["method"], request["target"]) == ("request", method, target)
    fetched = quiet.log("github.com")[-1]
    assert fetched["client"] in fleet_plan.SERVERS["proxy"]
    assert (fetched["path"], fetched["host"]) == (url.partition("github.com")[2], "github.com")
    assert not [line for line in quiet.log("resolver")
                if line["client"] == quiet.address("web1", 4) and line["name"] != "proxy"]


def test_a_body_goes_through_the_proxy(quiet):
    quiet.exec("web1", "curl", "-sS", "-x", "http://proxy:3128", "-d", "x" * 100000, "http://api.internal/")
    assert quiet.log("api.internal")[-1]["method"] == "POST"


def test_git_through_the_proxy(fleet):
    clone = "cd $(mktemp -d) && https_proxy=http://proxy:3128 git clone -q https://mirror.github.com/tool.git"
    fleet.ssh("web1", clone, user="plain")


@pytest.mark.parametrize(("options", "status", "says"), [
    (["-x", "http://proxy:3128", "http://none.example/"], "502", "Name or service not known"),
    (["-x", "http://proxy:3128", "http://github.com:81/"], "502", "Connection refused"),
    (["http://proxy:3128/"], "400", "this proxy takes http://... and CONNECT"),
])
def test_the_proxy_says_what_it_cannot(fleet, options, status, says):
    answer = fleet.exec("web1", "curl", "-sS", "-w", "%{http_code}", *options).stdout
    assert says in answer and answer.endswith(status)


def test_the_proxy_connects_to_nothing_unknown(fleet):
    done = fleet.exec("web1", "curl", "-sS", "-x", "http://proxy:3128", "https://none.example/", check=False)
    assert done.returncode == 56 and "502" in done.stderr


@pytest.mark.parametrize("family", [4, 6])
def test_udp_echo(quiet, family):
    echo = """
        import socket, sys
        sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(5)
        sock.sendto(b"hello", (sys.argv[1], 9000))
        print(sock.recv(100).decode())
    """
    assert python(quiet, "web2", echo, quiet.address("github.com", family)) == "hello"
    (line,) = quiet.log("github.com")
    assert (line["event"], line["client"], line["bytes"]) == ("datagram", quiet.address("web2", family), 5)


@pytest.mark.parametrize("address", ["192.0.2.10", "2001:db8:2::10", "203.0.113.53", "198.51.100.12"])
def test_ping(fleet, address):
    fleet.exec("web1", "ping", "-c1", "-W2", address)
    fleet.ssh("web1", f"ping -c1 -W2 {address}", user="plain")


def test_install_script(fleet):
    installed = fleet.exec("web1", "sh", "-c", "curl -sS http://github.com/install.sh | sh").stdout
    assert installed == "tool 1.2.3 installed\n"


def test_a_bare_connection_is_logged(quiet):
    quiet.exec("web1", "nc", "-z", "mirror.example", "80")
    assert await_line(quiet, "mirror.example", event="accept")["client"].endswith(":51::11")


MIGRATE = ["curl", "-sS", "-w", "%{http_code}", "http://api.internal/migrate"]


def test_stop_and_start(quiet):
    quiet.stop("github.com")
    try:
        assert python(quiet, "web1", """
            import errno, socket
            for family, address in (socket.AF_INET, "192.0.2.10"), (socket.AF_INET6, "2001:db8:2::10"):
                print(errno.errorcode[socket.socket(family).connect_ex((address, 80))])
        """).split() == ["ECONNREFUSED"] * 2
        migration = quiet.exec("web1", *MIGRATE).stdout
        assert migration.endswith("502") and "Connection refused" in migration
        assert quiet.log("github.com") == []
    finally:
        quiet.start("github.com")
    migration = quiet.exec("web1", *MIGRATE).stdout
    assert migration == "migrated with: this is github.com\n200"
    assert {line["client"] for line in quiet.log("github.com")} == {quiet.address("api.internal")}


def test_stop_and_start_from_the_command_line(fleet):
    def status():
        return fleet.exec("web1", "curl", "-sS", "http://mirror.example/", check=False).returncode
    subprocess.run([*CLI, "stop", "--name", ME, "mirror.example"], check=True)
    assert status() == 7
    subprocess.run([*CLI, "start", "--name", ME, "mirror.example"], check=True)
    subprocess.run([*CLI, "start", "--name", ME, "mirror.example"], check=True)     # it runs: nothing to do
    assert status() == 0


# Isolation

def test_a_host_has_its_own_world(fleet):
    world = "hostname; cat /etc/hostname; cat /proc/self/cgroup | grep ^0; ls /run /tmp; cat /etc/hosts"
    one, two = (fleet.exec(host, "sh", "-c", world).stdout for host in ("web1", "web2"))
    assert one.splitlines()[:3] == ["web1", "web1", "0::/"]
    assert two.splitlines()[:3] == ["web2", "web2", "0::/"]
    fleet.exec("web1", "sh", "-c", "touch /run/mark /tmp/mark /var/mark /etc/mark /dev/shm/mark")
    for path in ("/run/mark", "/tmp/mark", "/var/mark", "/etc/mark", "/dev/shm/mark"):
        assert not Path(path).exists()
        assert fleet.exec("web2", "test", "-e", path, check=False).returncode == 1
    assert "deploy" not in Path("/etc/passwd").read_text()


def test_sessions_are_in_the_hosts_cgroup(fleet):
    pid = fleet.ssh("web1", "echo $$; grep ^0 /proc/self/cgroup", user="deploy").stdout.split()
    assert pid[1] == "0::/"
    mount = fleet_kernel.cgroup2_mount()
    fleet.exec("web1", "test", "-e", f"{mount}/cgroup.procs")
    with fleet.popen("web1", "sleep", "60") as process:
        wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        assert f"/loopbreak-fleet/{ME}/web1\n" in Path(f"/proc/{process.pid}/cgroup").read_text()
        assert str(process.pid) in fleet.exec("web1", "cat", f"{mount}/cgroup.procs").stdout.split()
        process.kill()


def test_the_bpf_filesystem_is_the_hosts_own(fleet):
    assert " /sys/fs/bpf " not in fleet.exec("web1", "cat", "/proc/self/mounts").stdout
    before = Path("/proc/self/mountinfo").read_text()
    fleet.exec("web1", "sh", "-ec", "mount -t bpf bpf /sys/fs/bpf; mkdir /sys/fs/bpf/pins")
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not Path("/sys/fs/bpf/pins").exists()
    assert fleet.exec("web2", "ls", "/sys/fs/bpf").stdout == ""
    fleet.ssh("web1", "test -d /sys/fs/bpf/pins")      # every session of the host sees it
    fleet.exec("web1", "umount", "/sys/fs/bpf")


def test_nothing_leads_out(fleet):
    out = fleet.exec("web1", "ping", "-c1", "-W1", "8.8.8.8", check=False)
    assert "unreachable" in out.stdout + out.stderr


def test_kernel_pids_mean_the_same_inside(fleet):
    assert fleet.exec("web1", "cat", f"/proc/{os.getpid()}/comm").stdout == \
        Path("/proc/self/comm").read_text()


# Coming and going

def wait_until(true, seconds=5):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def machine() -> dict:
    """What a fleet could leave behind, but for other fleets that come and go meanwhile."""
    run = fleet_kernel.run

    def own(lines):
        return {line for line in lines if "lbf-" not in line or ME in line}
    mounts = {f"{kind} {point}" for kind, point in fleet_kernel.mounts() if point != fleet_kernel.NETNS}
    return {
        "netns": own(fleet_kernel.list_netns()),
        "mounts": own(mounts),
        "cgroups": {str(path) for path in fleet_registry.cgroup_of("any").parent.glob(f"{ME}*")},
        "registry": {str(path) for path in fleet_registry.REGISTRY.glob(f"{ME}*")},
        "links": run("ip", "-o", "link"),
        "addresses": run("ip", "-o", "address"),
        "routes": run("ip", "route") + run("ip", "-6", "route"),
    }


def processes_of(name):
    """By namespace and by cgroup: a process may leave the one, hardly both."""
    worlds = {entry.stat().st_ino for entry in fleet_kernel.NETNS.glob(f"lbf-{name}-*")}
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").stat().st_ino in worlds or \
                    f"/loopbreak-fleet/{name}/" in (process / "cgroup").read_text():
                found.add(int(process.name))
        except OSError:
            pass    # ended meanwhile, or closed even to root
    return found


def alive(pids):
    return {pid for pid in pids if fleet_kernel.started_at(pid) is not None}


def test_down_leaves_nothing():
    before = machine()
    with Fleet(f"{ME}-down", hosts=2) as fleet:
        directory = fleet.directory
        mount = fleet_kernel.cgroup2_mount()
        # what a guard leaves when its deployment never ends: nested cgroups, processes in them, pins
        fleet.exec("web1", "sh", "-ec", f"""
            mkdir -p {mount}/ebpf_guard/deploy/deeper
            mount -t bpf bpf /sys/fs/bpf; mkdir /sys/fs/bpf/ebpf_guard
            setsid sh -c 'echo $$ > {mount}/ebpf_guard/deploy/deeper/cgroup.procs; exec sleep 600' >&- 2>&- &
            setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 1; done' >&- 2>&- &
        """)
        # a connection that outlives its command, as Ansible's do
        fleet.ssh("web2", "true", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, capture_output=False)
        subprocess.run(["ssh", "-F", str(fleet.ssh_config), "-f", "-N", "-o", "ControlMaster=yes", "-o",
                        f"ControlPath={directory}/master", "root@web2"], check=True)
        pids = processes_of(fleet.name)
        assert len(alive(pids)) > 12
        assert machine() != before
    wait_until(lambda: not alive(pids))
    assert machine() == before
    assert not directory.exists()


def test_down_is_for_half_a_fleet_too():
    before = machine()
    name = f"{ME}-half"
    fleet_kernel.add_netns([f"lbf-{name}-bridge", f"lbf-{name}-web7"])
    (fleet_registry.cgroup_of(name) / "web7" / "nested").mkdir(parents=True)
    subprocess.run([*CLI, "down", "--name", name], check=True)
    subprocess.run([*CLI, "down", "--name", name], check=True)
    assert machine() == before


def test_down_on_kernels_without_cgroup_kill(monkeypatch):
    monkeypatch.setattr(fleet_kernel, "KILL_SWITCH", "no-such-file")
    before = machine()
    with Fleet(f"{ME}-old", hosts=1) as fleet:
        pids = processes_of(fleet.name)
        fleet.stop("github.com")
    assert not alive(pids)
    assert machine() == before


def test_a_name_that_begins_like_another():
    with Fleet(f"{ME}-a-web1", hosts=1) as longer:
        with Fleet(f"{ME}-a", hosts=1) as shorter:
            for fleet in (longer, shorter):
                fleet.exec("web1", "curl", "-sS", "http://github.com/")
            assert len(longer.log("github.com")) == len(shorter.log("github.com")) == 2
        longer.exec("web1", "curl", "-sS", "http://github.com/")
        assert len(longer.log("github.com")) == 4


OWNER = """
    import sys, time
    from fleet import Fleet
    Fleet(sys.argv[1], hosts=2).up()
    print("up", flush=True)
    time.sleep(600)
"""


def start_owner(name):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(OWNER), name], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": str(FLEET)})


def test_the_fleet_of_a_killed_owner_goes_with_the_next_up():
    before = machine()
    name = f"{ME}-orphan"
    with start_owner(name) as owner:
        try:
            assert owner.stdout.readline() == "up\n"
            directory = Fleet.attach(name).directory
            pids = processes_of(name)
            with pytest.raises(FleetError, match="in use by process"):
                Fleet(name).up()
        finally:
            owner.send_signal(signal.SIGKILL)
    assert alive(pids) and directory.exists()
    with Fleet(f"{ME}-next", hosts=1):
        assert not alive(pids)
        with pytest.raises(FleetError, match="no fleet"):
            Fleet.attach(name)
    assert machine() == before
    assert not directory.exists()


@pytest.mark.parametrize("milliseconds", [60, 90, 120, 150, 180, 210, 240, 270, 300, 350, 450])
def test_up_killed_at_any_moment(milliseconds, tmp_path):
    before = machine()
    name = f"{ME}-killed"
    with start_owner(name) as owner:
        time.sleep(milliseconds / 1000)
        owner.kill()
    with Fleet(name, hosts=2, directory=tmp_path) as fleet:
        assert fleet.ssh("web2", "hostname").stdout == "web2\n"
    assert machine() == before


def test_up_again_replaces_a_fleet_of_nobody(tmp_path):
    for _time in range(2):
        subprocess.run([*CLI, "up", "--name", f"{ME}-cli", "--hosts", "1", "--dir", tmp_path], check=True)
    try:
        command = [*CLI, "exec", "--name", f"{ME}-cli", "web1", "--", "sh", "-c", "cat; hostname; exit 7"]
        done = subprocess.run(command, input="in\n", capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == ("in\nweb1\n", 7)
    finally:
        subprocess.run([*CLI, "down", "--name", f"{ME}-cli"], check=True)


def test_unified_hierarchy_on_a_machine_without_network_namespaces(tmp_path):
    """A machine seen through a mount namespace of its own: only cgroup2, nothing in /run."""
    script = f"""
        set -e
        if mountpoint -q /run/netns; then umount -R /run/netns; fi
        mount -t tmpfs tmpfs /run
        umount -R /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        python={sys.executable}
        fleet={FLEET / 'fleet.py'}
        $python $fleet up --name {ME}-unified --hosts 1 --dir {tmp_path}
        $python $fleet exec --name {ME}-unified web1 -- sh -ec 'cat /proc/self/cgroup | grep ^0
            grep " /sys/fs/cgroup" /proc/self/mounts; mkdir /sys/fs/cgroup/x'
        ssh -F {tmp_path}/ssh_config root@web1 hostname
        $python $fleet down --name {ME}-unified
        ls -A /run
        ! grep -E 'netns|lbf' /proc/self/mountinfo
        test ! -e /sys/fs/cgroup/loopbreak-fleet/{ME}-unified
    """
    done = subprocess.run(["unshare", "--mount", "sh", "-c", textwrap.dedent(script)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert lines[0] == "0::/"
    assert lines[1].startswith("cgroup2 /sys/fs/cgroup cgroup2 ")
    assert [line for line in lines[2:] if line != "mount"] == ["web1"]      # /run/mount is mount(8)'s


@pytest.mark.parametrize(("name", "hosts", "says"), [
    ("Upper", 1, "fleet name"), ("a/b", 1, "fleet name"), ("", 1, "fleet name"), ("ok", 0, "1 to 100"),
])
def test_bad_input(name, hosts, says):
    with pytest.raises(FleetError, match=says):
        Fleet(name, hosts)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b"])
def test_down_takes_no_path_for_a_name(fleet, name):
    done = subprocess.run([*CLI, "down", "--name", name], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("fleet: fleet name")
    fleet.exec("web1", "true")


def test_unknown_nodes_and_servers(fleet):
    with pytest.raises(FleetError, match="no node 'web3'"):
        fleet.exec("web3", "true")
    with pytest.raises(FleetError, match="no server 'gitlab.com'"):
        fleet.stop("gitlab.com")


def test_many_hosts_in_seconds():
    with Fleet(f"{ME}-many", hosts=20) as fleet:
        assert fleet.ssh("web20", "curl -sS http://github.com/").stdout == "this is github.com\n"


def test_several_come_and_go_at_once(tmp_path):
    before = machine()
    names = [f"{ME}-{number}" for number in range(4)]

    def each(*verb):
        return [subprocess.Popen([*CLI, verb[0], "--name", name, *verb[1:]]) for name in names]
    for _time in range(3):
        ups = [subprocess.Popen([*CLI, "up", "--name", name, "--hosts", "2", "--dir", str(tmp_path / name)])
               for name in names]
        assert [up.wait() for up in ups] == [0] * 4
        assert [command.wait() for command in each("exec", "web2", "true")] == [0] * 4
        assert [down.wait() for down in each("down")] == [0] * 4
    assert machine() == before


def test_needs_lists_packages():
    listed = subprocess.run([*CLI, "needs"], capture_output=True, text=True, check=True).stdout.split()
    assert {"openssh-server", "dnsmasq-base", "libbpf1"} <= set(listed)

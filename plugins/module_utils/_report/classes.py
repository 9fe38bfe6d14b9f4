# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Which kind of dependency an access shows: does what it went to need the deployed service through another one? Else:
did a person of the deployment write it down? Pure.

A host is named by its whole name, as one of the words of a command line or a part of one: `github.com` by
`git@github.com:a/b` and `--from=https://github.com/x`, and neither by `www.github.com` nor by `/src/github.com/x`, which
is a directory. A path is named by itself, or by a directory on the way to it from where the rule begins.

A command line counts where a person wrote it: the outermost one, and what `_written` follows from there.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re

DIRECT, HIDDEN, TRANSIENT = 'direct', 'hidden', 'transient'
PRESENTED = ('dns', 'tls', 'http')  # kinds that say a name: the address is but the way to it, a resolver or a proxy
HOST = re.compile(r'[\w.-]+')
ADDRESS6 = re.compile(r'[0-9A-Fa-f]*:[0-9A-Fa-f:.]+')
SHELL = ('/dev/tcp/', '/dev/udp/')  # what bash connects to by itself
GLUED = re.compile(r'-[A-Za-z]')  # an option of one letter with its value in the same word
WORD = re.compile(r'[^\s\'"=:;,|&()<>]+')
# Before a path, and behind one: not in the middle of another, but `-C/mnt/x`, `file:///mnt/x`, `/mnt/x/`, `/mnt/x/*.tar`.
BEFORE, BEHIND = r'(?:(?<![\w./~-])|(?<=://)|^-[A-Za-z])', r'(?:/+\.?|/+[*?$[{]\S*)?(?![\w./-])'

# Programs that start what people wrote for them: the rest of their line, a recipe, a session, a unit
PASSES_ON = frozenset("""
    sudo su doas run0 runuser ksu dzdo pbrun pmrun pfexec sesu machinectl setpriv env nice ionice chrt taskset numactl timeout
    time nohup setsid stdbuf unbuffer script flock xargs parallel find watch strace ltrace chroot unshare nsenter fakeroot
    capsh prlimit busybox run-parts start-stop-daemon
    ip make gmake bmake remake ninja just rake fab invoke inv ansible-playbook
    sshd sshd-session dropbear login screen tmux systemd init cron crond atd anacron supervisord tini dumb-init docker-init
    conmon containerd-shim containerd-shim-runc-v2 runc crun
""".split())
# Tools that do so where they are told to, as `npm run deploy` and `bundle exec ./deploy`
RUNNERS = frozenset('npm pnpm yarn bun deno composer poetry pipenv uv pdm hatch bundle'.split())
RUN = ('run', 'run-script', 'exec')
# Interpreters: the option that a text to run stands behind, the one that a module does, others with a value of their own
INTERPRETERS = [tuple(map(re.compile, row)) for row in (
    (r'(ba|da|a|k|mk|pdk|z|fi)?sh\Z', r'[-+][A-Za-z]*[cs]\Z|--command\Z', r'(?!)', r'[-+][oO]\Z|--rcfile\Z|--init-file\Z'),
    (r'(python|pypy|platform-python)[\d.]*\Z', r'-[A-Za-z]*c\Z', r'-[A-Za-z]*m\Z', r'-[WX]\Z'),
    (r'(perl|ruby|lua)[\d.]*\Z', r'-[A-Za-z]*[eE]\Z', r'(?!)', r'-[IrC]\Z'),
    (r'(node|nodejs|bun|deno)\Z', r'-[ep]+\Z|--eval\Z|--print\Z|eval\Z', r'(?!)', r'-r\Z|--require\Z|--import\Z|--loader\Z'),
    (r'php[\d.]*\Z', r'-r\Z', r'(?!)', r'-[dc]\Z'),
    (r'(tclsh[\d.]*|expect|Rscript|pwsh)\Z', r'-[ce]\Z|-Command\Z', r'(?!)', r'(?!)'))]
# Where scripts came with a tool: directories of the system, of packages in /opt, and of package managers anywhere
INSTALLED = re.compile(
    r'/usr/(?!src/)|/(bin|sbin|lib\w*|snap|nix|gnu)/|/opt/(.*/)?(bin|sbin|lib\w*|share)/'
    r'|(.*/)?(site-packages|dist-packages|node_modules|gems|vendor|linuxbrew|\.?venv'
    r'|\.(cache|cargo|rustup|npm|nvm|yarn|gem|rbenv|pyenv|tox|nox|local))/|.*\.(phar|pyz|pex)\Z')


def of(record, rule, commands, shown, presented):
    """(the class of a record, what shows it). `commands`: as for naming(); `shown`: the same commands as a report has them."""
    via = rule.get('via', ())
    if len(via) > 2:
        return TRANSIENT, {'pid': None, 'command': None, 'path': list(via)}
    number = naming(record, rule['paths'], commands, presented)
    return (HIDDEN, None) if number is None else (DIRECT, shown[number])


def naming(record, rule_paths, commands, presented=True):
    """The index of the first of the commands, each a tuple of arguments, that a person wrote and that names what the record
    is about, or None.

    The first is the process's own. `rule_paths`: those of the rule, where it has any. `presented`: whether the record has
    the name that was asked for or presented, and not the names of its address.
    """
    names_it = _namer(record, rule_paths, presented)
    return next((index for index, (arguments, written) in enumerate(zip(commands, _written(commands)))
                 if written and names_it(arguments, index == 0)), None)


def is_named_by(record, words, presented=True):
    """Do words that a person wrote, such as the arguments of a task, name what the record is about?"""
    return bool(words) and _namer(record, (), presented)(words, False)


def _written(commands):
    """Of each command, whether a person wrote it. The outermost one is a task's, or what a person typed or scheduled.

    Below a tool nothing is: what git, npm or apt start was put together by them, whatever is in it.
    """
    found, written = [], True
    for arguments in reversed(commands):
        found.append(written)
        written = written and _passes_on(arguments)
    return found[::-1]


@functools.lru_cache(maxsize=4096)
def _passes_on(arguments):
    """Does a command start what people wrote: the rest of its line, a script or a recipe of theirs? Else it is a tool."""
    script = script_of(arguments)
    if script is None:
        return _is_runner(arguments)
    return not script or not is_installed(script[0], arguments[0]) or _is_runner(script)


def script_of(arguments):
    """The file that an interpreter runs, and its arguments; () for a text. None where the program is no interpreter."""
    name = program_of(arguments[0])
    for names, text, module, valued in INTERPRETERS:
        if names.match(name):
            return _script(arguments[1:], text, module, valued)
    return None


def _is_runner(words):
    name = program_of(words[0])
    return name in PASSES_ON or name in RUNNERS and is_told_to_run(words)


def is_told_to_run(words):
    """Is a tool told to start another program?"""
    return next((word for word in words[1:] if not word.startswith('-')), None) in RUN


def program_of(path):
    return path.rpartition('/')[2].lstrip('-').partition(':')[0]


def _script(arguments, text, module, valued):
    """The file that an interpreter runs, and its arguments; () for a text, and for what comes from standard input."""
    rest = iter(arguments)
    for argument in rest:
        if text.match(argument) or argument == '-':
            return ()
        if module.match(argument):
            return ('site-packages/' + next(rest, ''), *rest)
        if valued.match(argument):
            next(rest, None)
        elif not argument.startswith(('-', '+')):
            return (argument, *rest)
    return ()


def is_installed(script, interpreter):
    """A virtual environment has its tools beside its interpreter."""
    here = script.rpartition('/')[0]
    return bool(INSTALLED.match(script)) or here.startswith('/') and here == interpreter.rpartition('/')[0]


def _namer(record, rule_paths, presented):
    if record['path']:
        return _path_namer(record, rule_paths)
    names = set((record['name'] or '').split(', ')) - {''}
    address = None if names and presented and record['kind'] in PRESENTED else record['address']
    return lambda arguments, _own: any(_names_host(argument, names, address) for argument in arguments)


def _names_host(argument, names, address):
    if address and ':' in address:
        return ipaddress.ip_address(address) in _addresses(argument) or not names.isdisjoint(_hosts(argument))
    return not (names | {address}).isdisjoint(_hosts(argument))


@functools.lru_cache(maxsize=4096)  # here and below: commands of many records have most arguments in common
def _hosts(argument):
    """The hosts that a word of a command line names."""
    hosts = set()
    for found in HOST.finditer(argument):
        word, before = found.group(), argument[:found.start()]
        if before.endswith('/') and not before.endswith(('//', *SHELL)):
            continue  # a directory
        hosts.add(_host(word))
        if not before and GLUED.match(word):
            hosts.add(_host(word[2:]))
    return frozenset(hosts)


@functools.lru_cache(maxsize=4096)
def _addresses(argument):
    """The IPv6 addresses in a word of a command line."""
    found = set()
    for text in ADDRESS6.findall(argument):
        with contextlib.suppress(ValueError):
            found.add(ipaddress.ip_address(text))
    return frozenset(found)


def _host(word):
    """A word in the form that names have in records."""
    word = word.strip('.-').lower()
    try:
        return word if word.isascii() else word.encode('idna').decode('ascii')
    except UnicodeError:
        return word


def _path_namer(record, rule_paths):
    path, program = record['path'], record['kind'] == 'exec' and record['path'].rpartition('/')[2]
    meant = [path] + [parent for parent in _parents(path) if _counts(parent, path, rule_paths)]
    shortest = meant[-1]  # whatever names one of the others has this one in it

    def names_it(arguments, own):
        return (own and arguments[0] == program
                or any(_stands_in(one, argument) for argument in arguments if shortest in argument for one in meant)
                or any(_ends(word, meant) for argument in arguments if '/' in argument for word in _words(argument)))
    return names_it


def _stands_in(path, argument):
    return path in argument and bool(re.search(BEFORE + re.escape(path) + BEHIND, argument))


@functools.lru_cache(maxsize=4096)
def _words(argument):
    return WORD.findall(argument)


def _parents(path):
    while path.rpartition('/')[0]:
        path = path.rpartition('/')[0]
        yield path


def _counts(parent, path, rule_paths):
    """Does who names this directory mean the file in it? Of a rule by type of file system, two steps below the root do."""
    roots = [root for root in rule_paths if (path + '/').startswith(root + '/')]
    return any((parent + '/').startswith(root + '/') for root in roots) if roots else parent.count('/') > 1


def _ends(word, meant):
    """Is a relative path, of which nobody knows where it begins, the end of one of these? A bare name is none."""
    if word.startswith('/') or '/' not in word:
        return False
    parts = [part for part in word.split('/') if part not in ('', '.')]
    while parts[:1] == ['..']:
        parts = parts[1:]
    return bool(parts) and any(path.split('/')[-len(parts):] == parts for path in meant)

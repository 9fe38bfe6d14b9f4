# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Command lines without the secrets in them. Pure.

A secret is known by what stands before it (an option, a variable, a header, a place in a URL), or by its own form
(tokens). Where that is not certain, too much is masked rather than too little; a line without any of it stays as it is,
to the last byte.
"""

from __future__ import annotations

import functools
import re

MASK = '********'

# Names: of options, variables, headers, fields. A name is taken apart (`--db-password`, `keyStorePassword`, `DB_PASSWORD`),
# and one of its parts has to end so.
PARTS = re.compile(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+')
ENDINGS = ('password', 'passwd', 'passphrase', 'passcode', 'pass', 'secret', 'token', 'apikey', 'accesskey', 'secretkey',
           'authkey', 'creds', 'cookie')
PAIRS = {'api key', 'access key', 'secret key', 'auth key', 'account key', 'license key', 'master key', 'encryption key'}
WHOLE = {'_auth', 'rediscli_auth', 'masterauth', 'secret_id', 'oauth2-bearer'}
INNOCENT = {'askpass', 'bypass', 'compass', 'encompass', 'multipass', 'overpass', 'surpass', 'trespass', 'underpass'}
# `--password-file` names a file, `--ask-pass` and `--next-token` no secret, `--token-ca-cert-hash` what everybody may see.
FIRST = {'ask', 'no', 'prompt', 'show', 'with', 'without', 'use', 'skip', 'enable', 'disable', 'allow', 'require',
         'generate', 'rotate', 'next', 'starting', 'page', 'continuation'}
LAST = {'file', 'files', 'path', 'dir', 'directory', 'fd', 'stdin', 'prompt', 'prompts', 'name', 'names', 'id', 'type', 'ttl',
        'url', 'uri', 'endpoint', 'store', 'env', 'policy', 'length', 'size', 'count', 'limit', 'expiry', 'expires',
        'expiration', 'lifetime', 'age', 'provider', 'manager', 'helper', 'command', 'cmd', 'program', 'script', 'ref',
        'arn', 'version', 'format', 'algorithm', 'method', 'mode', 'required', 'only', 'source', 'issuer', 'audience',
        'namespace', 'mount', 'hint', 'jar', 'server', 'host', 'port', 'user', 'authentication', 'auth', 'through',
        'group', 'label', 'aging', 'rotation'}
ANYWHERE = {'cert', 'ca', 'public', 'max', 'min', 'num'}
SIGNATURES = {'sig', 'signature', 'x-amz-signature', 'x-goog-signature', 'auth'}  # in the query of a URL
HARMLESS = re.compile(r'(?:true|false|\$|-.*|(?:id|type|source|src|name)=.*)?\Z', re.S)  # `--secret id=npm` of docker build

# Options of one letter mean a secret only to some programs: which letters, behind which others that take no value; where
# the secret is (`mysql -pSECRET`, but `mysql -p DATABASE`), and behind which separator in it (`curl -u USER:SECRET`).
SAME, NEXT, EITHER = {'same'}, {'next'}, {'same', 'next'}
OPTIONS = {}
for _programs, _letters, _flags, _where, _separator in (
        ('mysql mysqldump mysqladmin mysqlimport mysqlshow mysqlcheck mysqlpump mysqlbinlog mysqlslap mysqlsh '
         'mysql_upgrade mariadb mariadb-dump mariadb-admin mariadb-import mariadb-show mariadb-check mariadb-binlog '
         'mariadb-backup mariadb-upgrade mycli xtrabackup mariabackup innobackupex', 'p', 'ABCEHNVXfnqrstv', SAME, ''),
        ('7z 7za 7zr 7zz rar unrar', 'p', '', SAME, ''),
        ('curl', 'uUE', 'BGIJLNOZSfgijklnpqRsav#012346', EITHER, ':'),
        ('curl', 'b', 'BGIJLNOZSfgijklnpqRsav#012346', EITHER, '='),
        ('http https httpie xh', 'a', 'bcdfhjpv', EITHER, ':'),
        ('sshpass', 'p', 'v', EITHER, ''),
        ('redis-cli redis-benchmark valkey-cli valkey-benchmark', 'a', 'cxX', EITHER, ''),
        ('ldapsearch ldapadd ldapmodify ldapdelete ldapcompare ldapmodrdn ldapwhoami ldapexop', 'w', 'ACLMNPnvxZ', EITHER,
         ''),
        ('ldappasswd', 'was', 'CMNnvxZ', EITHER, ''),
        ('mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat', 'p', '', EITHER, ''),
        ('login', 'p', '', EITHER, ''),  # docker login, az acr login, oc login, helm registry login
        ('twine cqlsh', 'p', '', NEXT, ''),
        ('ssh-keygen', 'NP', 'cpqy', EITHER, ''),
        ('mosquitto_pub mosquitto_sub mosquitto_rr', 'P', '', EITHER, ''),
        ('sqlcmd bcp', 'P', '', EITHER, ''),
        ('zip unzip ipmitool', 'P', 'bjloqrv', EITHER, ''),
        ('openssl', 'kK', '', NEXT, ''),
        ('smbclient rpcclient net smbget', 'U', 'EGLNPgk', EITHER, '%'),
        ('lftp', 'u', '', EITHER, ','),
        ('useradd usermod', 'p', 'mrMNUoD', EITHER, '')):
    for _name in _programs.split():
        OPTIONS.setdefault(_name, []).append((re.compile('-%s[%s]' % ('[%s]*' % _flags if _flags else '', _letters)),
                                              _where, _separator))
LONG_PAIRS = {'--user': ':', '--proxy-user': ':', '--cert': ':', '--auth': ':', '--cookie': '='}
WITH_LONG_PAIRS = {'curl', 'http', 'https', 'httpie', 'xh'}
POSITIONAL = {('ansible-vault', 'encrypt_string'), ('vault', 'login')}  # the next word, if it is no option
# These take the names of programs as arguments, and start none of them.
NO_WRAPPERS = {'systemctl', 'service', 'journalctl', 'ps', 'pgrep', 'pkill', 'pidof', 'killall', 'apt', 'apt-get', 'dpkg',
               'yum', 'dnf', 'rpm', 'apk', 'zypper', 'brew', 'pip', 'pip3', 'man', 'which', 'type', 'id', 'groups', 'git'}

# Tokens that are known by their form: how one begins, what it is made of, how much of that it has at least.
TOKENS = (
    (r'(?:AKIA|ASIA)', r'[A-Z0-9]', 12), (r'gh[pousr]_', r'[A-Za-z0-9]', 16), (r'github_pat_', r'\w', 20),
    (r'gl(?:pat|dt|rt|cbt|ptt|ft|soat)-', r'[\w.-]', 16), (r'xox[abeoprs]-', r'[\w-]', 10), (r'xapp-', r'[\w-]', 20),
    (r'[rs]k_(?:live|test)_', r'[A-Za-z0-9]', 8), (r'whsec_', r'[A-Za-z0-9]', 16), (r'npm_', r'[A-Za-z0-9]', 30),
    (r'pypi-A', r'[\w-]', 16), (r'eyJ', r'[\w.=-]', 10), (r'hv[sbr]\.', r'[\w-]', 16), (r's\.', r'[A-Za-z0-9]', 24),
    (r'AIza', r'[\w-]', 30), (r'ya29\.', r'[\w.-]', 10), (r'SG\.', r'[\w.-]', 20), (r'dckr_pat_', r'[\w-]', 16),
    (r'do[opr]_v1_', r'[a-f0-9]', 20), (r'shp(?:at|ca|pa|ss)_', r'[a-fA-F0-9]', 16), (r'hf_', r'[A-Za-z]', 20),
    (r'sk-', r'[\w-]', 32), (r'AGE-SECRET-KEY-1', r'[A-Z0-9]', 20), (r'ATATT', r'[\w=-]', 20),
    (r'hooks\.slack\.com/services/', r'[\w/]', 10), (r'discord(?:app)?\.com/api/webhooks/', r'[\w/-]', 10))
NAME = r'[A-Za-z_][\w.-]*'
QUOTED = r'"(?:[^"\\]|\\.)*(?:"|\Z)|\'(?:[^\'\\]|\\.)*(?:\'|\Z)'
FORMS = (
    (re.compile(r'(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)', re.S),
     r'\1%s\2' % MASK),
    (re.compile(r'(\b[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s"\']+(@)', re.I), r'\1%s\2' % MASK),
    (re.compile(r'^([\w.-]+:)[^\s@]+(@(?:tcp|unix)?\()'), r'\1%s\2' % MASK),  # the data source names of Go
    (re.compile(r'((?<![\w-])(?:proxy-)?authorization["\']?\s*[:=]\s*["\']?(?:[a-z][\w-]*\s+)?)[^\s"\']+', re.I),
     r'\1' + MASK),
    (re.compile(r'(\bBearer\s+)[\w.~+/=-]{16,}'), r'\1' + MASK),
    (re.compile(r'(\bIDENTIFIED\s+(?:WITH\s+\S+\s+)?(?:BY|AS)\s+(?:PASSWORD\s+)?)(?:%s)' % QUOTED, re.I), r'\1' + MASK),
    (re.compile(r'(\bPASSWORD(?:\s*\(\s*|\s+))(?:%s)' % QUOTED, re.I), r'\1' + MASK),  # SQL
    (re.compile(r'(\bpass:)[^\s"\']+'), r'\1' + MASK),  # openssl's -passin and the like
    # what a shell hands to a program that reads a password
    (re.compile(r'(\b(?:echo|printf)\s+(?:-\w+\s+)*)[^|;&\n]+?(\s*\|\s*(?:[^|;&\n]*\bchpasswd\b|[^|;&\n]*-stdin\b|'
                r'sudo\s+(?:-\w+\s+)*-\w*S\b))'), r'\1%s\2' % MASK),
)
# The same where the line was cut: what would have followed, and how much of it, nobody knows.
CUT_FORMS = (
    (re.compile(r'(\b[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+\Z', re.I), r'\1' + MASK),
    (re.compile(r'^([\w.-]+:)(?!\d+\Z)[^\s/@*]+(?:@\w*)?\Z'), r'\1' + MASK),
    (re.compile(r'(\b(?:echo|printf)\s+(?:-\w+\s+)*)[^;&\n]+\Z'), r'\1' + MASK),
)
TOKEN = re.compile(r'(?<![A-Za-z0-9_])(?:%s)' % '|'.join('(%s)%s{%d,}' % token for token in TOKENS))
CUT_TOKEN = re.compile(r'(?<![A-Za-z0-9_])(?:%s)\Z' % '|'.join('(%s)%s+' % token[:2] for token in TOKENS))
QUERY = re.compile(r'([?&#])(%s)=([^&\s#"\'<>]+)' % NAME)
ASSIGNED = re.compile(r'(?<![\w.?&#-])(?P<before>-{0,2}(?P<name>%s)(?P<mark>["\']\s*:\s*|\s*:\s+|\s*:?={1,2}\s*))'
                      r'(?P<value>%s|(?!\$\(|`)[^\s"\';|&)<>]+)' % (NAME, QUOTED))
EQUALS = re.compile(r'(?<![\w.?&#-])-{0,2}(?P<name>%s):?={1,2}' % NAME)
HEADER = re.compile(r'(?:-H|--[a-z-]*header=)?(?P<name>[A-Za-z][\w-]*):(?P<space>\s*)(?P<scheme>[A-Za-z][\w-]*\s+)?(?=\S)')
SCHEMES = {'authorization', 'proxy-authorization'}
HEADERS = {'cookie', 'set-cookie', 'private-token', 'job-token', 'deploy-token'}
SCRIPT = re.compile(r'-[a-z]*c')  # `sh -c`, `su -c`, `bash -lc`: a script follows
# A word of a shell's, with what is quoted in it, or what stands between two commands.
WORD = re.compile(r'(?P<word>(?:[^\s\'"\\;|&()<>`]|\\.|\'[^\']*(?:\'|\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+)'
                  r'|(?P<end>[;|&()`\n])|(?P<rest>.)', re.S)
PIECE = re.compile(r'\'([^\']*)\'?|"((?:[^"\\]|\\.)*)"?|\\(.)|([^\'"\\]+)', re.S)


@functools.lru_cache(maxsize=4096)
def names_secret(name):
    """Is what an option, a variable, a header or a field of this name holds a secret?"""
    if name.lower() in WHOLE:
        return True
    parts = [part.lower() for part in PARTS.findall(name)]
    if not parts or parts[0] in FIRST or parts[-1] in LAST or ANYWHERE.intersection(parts):
        return False
    return (any(part.endswith(ENDINGS) and part not in INNOCENT for part in parts)
            or any(' '.join(pair) in PAIRS for pair in zip(parts, parts[1:])) or len(parts) > 1 and parts[-1] == 'pwd')


def arguments(kept):
    """The arguments in what the kernel keeps of a command line, as in /proc/PID/cmdline."""
    return tuple(argument.decode('utf-8', 'replace') for argument in kept.rstrip(b'\0').split(b'\0'))


def shown(arguments, cut=False):
    """A command line as people read it, without the secrets in it. `cut`: there may have been more of it."""
    return ' '.join(masked(arguments, cut))


@functools.lru_cache(maxsize=4096)
def masked(arguments, cut=False):
    """The arguments of a command, a tuple, without the secrets in them. `cut`: the last one may have gone on."""
    result, program, previous, announced = [], None, '', None
    for number, argument in enumerate(arguments):
        glued = _glued(argument, program)
        if announced is not None and not (argument.startswith('-') and announced != ':'):
            result.append(_behind(argument, announced))
            announced = None
        elif glued:
            result.append(argument[:glued[0]] + _behind(argument[glued[0]:], glued[1]))
            announced = None
        else:
            result.append(_argument(argument, bool(SCRIPT.fullmatch(previous)), cut and number == len(arguments) - 1))
            announced = _announced(argument, previous, program)
        name = _base(argument)
        if program is None or program not in NO_WRAPPERS and (name in OPTIONS or name in NO_WRAPPERS):
            program = name  # the first word; later ones are what it starts, as `sudo` and `docker exec` do
        previous = argument
    return tuple(result)


def _base(path):
    return path.rpartition('/')[2]


def _behind(value, separator):
    """The value of an option: all of it is secret, or what follows the first separator, if there is one."""
    if not separator:
        return value if HARMLESS.match(value) else MASK
    before, _found, secret = value.partition(separator)
    return before + separator + MASK if secret else value


def _glued(argument, program):
    """Of an option with its value in the same word: where that begins, and behind which separator it is secret."""
    for letters, where, separator in OPTIONS.get(program, ()):
        found = letters.match(argument)
        if found and 'same' in where and len(argument) > found.end():
            return found.end(), separator
    name, equals, _value = argument.partition('=')
    if equals and program in WITH_LONG_PAIRS and name in LONG_PAIRS:
        return len(name) + 1, LONG_PAIRS[name]
    return None


def _announced(argument, previous, program):
    """What the next word is: None, no secret; '', a secret; else one behind that separator."""
    for letters, where, separator in OPTIONS.get(program, ()):
        if 'next' in where and letters.fullmatch(argument):
            return separator
    if program in WITH_LONG_PAIRS and argument in LONG_PAIRS:
        return LONG_PAIRS[argument]
    if (_base(previous), argument) in POSITIONAL or previous == 'set' and names_secret(argument):
        return ''
    option = re.fullmatch(r'--?([A-Za-z/][\w.:/-]+)', argument)  # with -pass numbers are given, and openssl's pass:...
    return '' if option and argument != '-pass' and names_secret(option.group(1)) else None


@functools.lru_cache(maxsize=4096)  # commands of many records have most arguments in common
def _argument(argument, is_script, cut):
    """One argument by itself: a header, NAME=value, a script, or text."""
    if not is_script:
        header = HEADER.match(argument)
        if header:
            name = header.group('name').lower()
            if name in SCHEMES:
                return argument[:header.end()] + MASK
            if name in HEADERS or names_secret(name) and (header.group('space') or name.startswith('x-')):
                return argument[:header.end('space')] + MASK
        for found in EQUALS.finditer(argument):
            if re.search(r'\s', argument[:found.start()]):
                break
            if names_secret(found.group('name')) and not HARMLESS.match(argument[found.end():]):
                return argument[:found.end()] + MASK
    text = _text(argument, cut)
    return _script(text, cut) if re.search(r'\s', text) else text


def _text(text, cut):
    for form, replacement in FORMS + (CUT_FORMS if cut else ()):
        text = form.sub(replacement, text)
    text = TOKEN.sub(_token, text)
    text = CUT_TOKEN.sub(_token, text) if cut else text
    text = QUERY.sub(_in_query, text)
    return ASSIGNED.sub(_assigned, text)


def _token(found):
    return found.group(found.lastindex) + MASK


def _in_query(found):
    before, name, _value = found.groups()
    secret = names_secret(name) or name.lower() in SIGNATURES
    return '%s%s=%s' % (before, name, MASK) if secret else found.group()


def _assigned(found):
    value = found.group('value')
    if not names_secret(found.group('name')) or MASK in value or HARMLESS.match(value) or _is_prose(found):
        return found.group()
    return found.group('before') + (value[0] + MASK + value[0] if value[0] in '"\'' else MASK)


def _is_prose(found):
    """`rotate the token: it is old`, unlike a line of YAML, and what is in braces or in quotes."""
    before = found.string[:found.start()]
    return (found.group('mark') == ': ' and found.group('name').isalpha() and found.group('name').islower()
            and found.group('value')[0] not in '"\'' and '{' not in before
            and before.rpartition('\n')[2].strip(' \t"\'') != '')


def _script(text, cut):
    """The commands of a shell, each masked as the command that it would become; all else stays as it is written."""
    words, edits = [], []
    for found in WORD.finditer(text):
        if found.group('word'):
            words.append(found)
        elif found.group('end'):
            edits += _edits(words, False)
            words = []
    for start, end, word in reversed(edits + _edits(words, cut)):
        text = text[:start] + word + text[end:]
    return text


def _edits(words, cut):
    meant = tuple(_unquoted(word.group()) for word in words)
    if len(meant) == 1 and meant[0] == words[0].string:
        return []
    return [(word.start(), word.end(), _quoted(hidden, word.group()))
            for word, plain, hidden in zip(words, meant, masked(meant, cut)) if plain != hidden]


def _unquoted(word):
    return ''.join(next((part for part in piece.groups() if part is not None), '') for piece in PIECE.finditer(word))


def _quoted(text, word):
    quote = word[0] if word[0] in '"\'' and word[0] not in text else ''
    if not quote and re.search(r'[\s\'"]', text):
        quote = '"' if '"' not in text else "'" if "'" not in text else ''
    return quote + text + quote

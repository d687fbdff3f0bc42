#!/usr/bin/env python3
"""Holds the documentation and the code together: the manual pages against -L and -h, docs/messages.md against the ids in
the sources, docs/upgrade-from-apache.md against -L and what -t says, paths in the texts against the tree. BULKHEAD names the program (build/bin/bulkhead otherwise)."""
import collections
import os
import re
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get('BULKHEAD') or os.path.join(TOP, 'build/bin/bulkhead')

# Defaults whose beginning is chosen when the program is built (prefix, sysconfdir, localstatedir): what must be the same.
BUILT = {'serverroot': '/bulkhead', 'coredumpdirectory': '/lib/bulkhead/crash'}

# Modules of Apache whose directives are taken, though the module itself counts as not there.
PARTS_OF_OTHERS = {'mod_authn_socache', 'mod_buffer', 'mod_mime_magic', 'mod_proxy_connect'}

unittest.TestCase.maxDiff = None
Directive = collections.namedtuple('Directive', 'name contexts default')


def read(*path):
    with open(os.path.join(TOP, *path), encoding='utf-8') as f:
        return f.read()


def printed(option):
    done = subprocess.run([PROGRAM, option], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, '%s %s ends with %d: %s' % (PROGRAM, option, done.returncode, done.stderr)
    return done.stdout


def plain(text):
    """What a line of mdoc reads as: escapes resolved."""
    for escape, letter in (('\\&', ''), ('\\-', '-'), ('\\(dq', '"'), ('\\(lq', '"'), ('\\(rq', '"'), ('\\e', '\\')):
        text = text.replace(escape, letter)
    return text


def listed_directives():
    """The directives of -L, all of them: a name may be there twice."""
    found, name, contexts, default = [], None, None, None

    def end():
        if name:
            found.append(Directive(name, contexts, default))
    for line in printed('-L').split('\n'):
        head = re.match(r'(\S+) \(\S+\)$', line)
        if head:
            end()
            name, contexts, default = head[1], None, None
        elif line.startswith('\tAllowed in: '):
            contexts = line.split(': ', 1)[1]
        elif line.startswith('\tDefault: '):
            default = line.split(': ', 1)[1]
    end()
    return found


def section(page, title):
    found = re.search(r'^\.Sh %s$(.*?)(?=^\.Sh |\Z)' % re.escape(title), page, re.M | re.S)
    assert found, 'there is no section %s' % title
    return found[1]


def described_directives():
    """The entries of the section DIRECTIVES of bulkhead.conf.5: ".It Ic NAME …", then "Context: …", then "Default: …"."""
    found = []
    lines = section(read('docs/bulkhead.conf.5'), 'DIRECTIVES').split('\n')
    for at, line in enumerate(lines):
        item = re.match(r'\.It Ic (\S+)', line)
        if not item:
            continue
        context = re.match(r'Context: (.*)\.$', lines[at + 1])
        default = re.match(r'Default: (.*)$', lines[at + 2])
        found.append(Directive(plain(item[1]), plain(context[1]) if context else None, plain(default[1]) if default else None))
    return found


class ConfigurationPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.listed = listed_directives()
        cls.described = described_directives()

    def test_there_is_something_to_compare(self):
        self.assertGreater(len(self.listed), 100)
        self.assertGreater(len(self.described), 100)

    def test_every_directive_is_described(self):
        known = {d.name.lower() for d in self.described}
        self.assertEqual([d.name for d in self.listed if d.name.lower() not in known], [],
                         'in -L, but not in docs/bulkhead.conf.5')

    def test_every_described_directive_exists(self):
        known = {d.name.lower() for d in self.listed}
        self.assertEqual([d.name for d in self.described if d.name.lower() not in known], [],
                         'in docs/bulkhead.conf.5, but not in -L')

    def test_none_is_described_twice(self):
        count = collections.Counter(d.name.lower() for d in self.described)
        self.assertEqual([name for name, n in count.items() if n > 1], [])

    def pairs(self):
        """Of a name that -L has twice the first is meant: that one the parser finds."""
        described = {d.name.lower(): d for d in self.described}
        first = {}
        for d in self.listed:
            first.setdefault(d.name.lower(), d)
        return [(d, described[name]) for name, d in first.items() if name in described]

    def test_names_are_spelt_alike(self):
        self.assertEqual([(a.name, b.name) for a, b in self.pairs() if a.name != b.name], [])

    def test_contexts_agree(self):
        self.assertEqual([(a.name, a.contexts, b.contexts) for a, b in self.pairs() if a.contexts != b.contexts], [],
                         '(name, -L, docs/bulkhead.conf.5)')

    def test_defaults_agree(self):
        bad = []
        for a, b in self.pairs():
            end = BUILT.get(a.name.lower())
            same = a.default == b.default
            if end and a.default and b.default:
                same = a.default.endswith(end) and b.default.endswith(end)
            if not same:
                bad.append((a.name, a.default, b.default))
        self.assertEqual(bad, [], '(name, -L, docs/bulkhead.conf.5)')


class CommandPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.help = printed('-h')
        cls.page = read('docs/bulkhead.8')

    def test_options_agree(self):
        helped = set(re.findall(r'(?<![\w-])(--[a-z]+|-[A-Za-z])(?![\w-])', self.help))
        described = set()
        for line in section(self.page, 'DESCRIPTION').split('\n'):
            item = re.match(r'\.It Fl (\S+)', line)
            if item:
                described.add('-' + item[1])
        self.assertGreater(len(helped), 15)
        self.assertEqual(sorted(helped - described), [], 'in -h, but not in docs/bulkhead.8')
        self.assertEqual(sorted(described - helped), [], 'in docs/bulkhead.8, but not in -h')

    def test_the_words_of_k_agree(self):
        helped = set(re.findall(r'(?<![\w-])-k ([a-z-]+)', self.help))
        described = set(re.findall(r'^\.It Fl k Cm ([a-z-]+)$', self.page, re.M))
        self.assertGreater(len(helped), 3)
        self.assertEqual(helped, described, '(-h, docs/bulkhead.8)')


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.used = collections.defaultdict(set)
        for folder, _, files in os.walk(os.path.join(TOP, 'server')):
            for name in files:
                if name.endswith('.c'):
                    path = os.path.relpath(os.path.join(folder, name), TOP)
                    for number in re.findall(r'\bBH\d{4}\b', read(path)):
                        cls.used[number].add(path)
        cls.entries = re.findall(r'^### (BH\d{4})\b', read('docs/messages.md'), re.M)

    def test_every_id_has_an_entry(self):
        self.assertGreater(len(self.used), 50)
        missing = {number: sorted(paths) for number, paths in self.used.items() if number not in self.entries}
        self.assertEqual(missing, {}, 'without a "### BHxxxx" in docs/messages.md')

    def test_every_entry_has_an_id(self):
        self.assertEqual([number for number in self.entries if number not in self.used], [],
                         'in docs/messages.md, but nowhere below server/')

    def test_no_entry_is_there_twice(self):
        self.assertEqual([number for number, n in collections.Counter(self.entries).items() if n > 1], [])


class Limits(unittest.TestCase):
    """docs/limits.md: its directives against -L, its constants against the sources, its messages against docs/messages.md."""
    UNITS = {'KiB': 1 << 10, 'MiB': 1 << 20, 'GiB': 1 << 30, 's': 1000, '': 1}
    # Directives whose names sound like a limit, and that bound nothing which clients, programs or tenants could meet.
    OTHERS = set('''maxsparechildren maxspareservers maxclients maxrequestsperchild threadlimit maxsparethreads threadstacksize maxmemfree sendbuffersize receivebuffersize
h2maxworkers h2maxworkeridleseconds h2maxdataframelen h2maxheaderblocklen limitxmlrequestbody maxconnectionsperaddressexcept
sslsessioncachetimeout sslocspresponsertimeout sslstaplingstandardcachetimeout sslstaplingerrorcachetimeout sslstaplingrespondertimeout sslocsprespondertimeout
authncachetimeout cgidscripttimeout rlimitcpu rlimitmem rlimitnproc proxymaxforwards'''.split())

    @classmethod
    def setUpClass(cls):
        cls.text = read('docs/limits.md')
        cls.rows = [tuple(cell.strip() for cell in line.strip('|').split('|')) for line in cls.text.split('\n') if line.startswith('| ')]
        cls.rows = [row for row in cls.rows if row[0] not in ('what', '---')]

    def test_there_is_something_to_compare(self):
        self.assertGreater(len(self.rows), 80)
        self.assertEqual([row for row in self.rows if len(row) != 4], [])

    def test_directives_agree(self):
        listed = {d.name: d for d in reversed(listed_directives())}
        bad = []
        for what, limit, by, _ in self.rows:
            if re.fullmatch(r'`\w+`', by):
                default = listed[by[1:-1]].default if by[1:-1] in listed else None
                if default is None or limit.replace(' s', '') != default:
                    bad.append((what, limit, by, default))
        self.assertEqual(bad, [], '(what, limit, directive, its default in -L)')

    def test_constants_agree(self):
        bad = []
        for what, limit, by, _ in self.rows:
            named = re.fullmatch(r'`([\w/.]+)` `(\w+)`', by)
            if not named:
                continue
            value = re.search(r'^#define %s +(.*?)\s*(?:/\*.*)?$' % named[2], read(named[1]), re.M)
            number, unit = re.fullmatch(r'(\d+) ?(\w*)', limit).groups()
            if not value or eval(re.sub(r'\(\w+\)|\bINT64_C|(?<=\d)[uUlL]+', '', value[1])) != int(number) * self.UNITS[unit]:   # pylint: disable=eval-used
                bad.append((what, limit, by, value and value[1]))
        self.assertEqual(bad, [], '(what, limit, constant, its value)')

    def test_what_sounds_like_a_limit_is_there(self):
        names = {by[1:-1].lower() for _, _, by, _ in self.rows if re.fullmatch(r'`\w+`', by)}
        sounds = {d.name.lower() for d in listed_directives() if re.match(r'Limit|Max|H2Max|\w*(Limit|Timeout)$', d.name)}
        self.assertGreater(len(sounds), 30)
        self.assertEqual(sorted(sounds - names - self.OTHERS), [], 'in -L, but not in docs/limits.md')

    def test_messages_are_there(self):
        known = set(re.findall(r'^### (BH\d{4})\b', read('docs/messages.md'), re.M))
        self.assertEqual(sorted(set(re.findall(r'BH\d{4}', self.text)) - known), [])


class ComingFromApache(unittest.TestCase):
    """docs/upgrade-from-apache.md: its tables against -L, and each row that says 'refused' or 'without effect' against -t."""
    WORDS = ('same', 'better', 'different', 'without effect', 'refused')
    AT_ONCE = 90                # -t tells the first 100 errors
    TWO = {'acceptfilter': 'http none', 'filtertrace': 'name 1', 'filterprotocol': 'name change=yes', 'h2pushpriority': 'text/css after', 'h2pushresource': '/a.css'}

    @classmethod
    def setUpClass(cls):
        cls.text = read('docs/upgrade-from-apache.md')
        cls.listed = {d.name.lower(): d for d in listed_directives()}
        cls.rows = []                           # (directive with < but without >, word)
        for names, word in re.findall(r'^\| (`.*`)[ …]*\| ([a-z ]+) \|.*\|$', cls.text, re.M):
            cls.rows += [(name.rstrip('>'), word) for name in re.findall(r'`([^`]+)`', names)]
        cls.folder = tempfile.TemporaryDirectory()
        os.chmod(cls.folder.name, 0o755)        # a DocumentRoot must be in reach
        cls.addClassCleanup(cls.folder.cleanup)

    def told(self, lines):
        """What -t says of lines, each a configuration's part of its own: {index: [severity: text …]}, and all of its errors."""
        path = os.path.join(self.folder.name, 'test.conf')
        start, at = 'Listen 127.0.0.1:8080\nServerName test.invalid\nServerRoot "{0}"\nErrorLog error.log\nDocumentRoot "{0}"\n'.format(self.folder.name), {}
        with open(path, 'w', encoding='utf-8') as f:
            f.write(start)
            number = start.count('\n') + 1
            for index, line in enumerate(lines):
                f.write(line + '\n')
                for _ in line.split('\n'):
                    at[number] = index
                    number += 1
        done = subprocess.run([PROGRAM, '-t', '-f', path], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        said = collections.defaultdict(list)
        for number, what in re.findall(r'^%s:(\d+): (.*)$' % re.escape(path), done.stdout + done.stderr, re.M):
            if int(number) in at:
                said[at[int(number)]].append(what)
        errors = re.findall(r'^.*error.*$', done.stdout + done.stderr, re.M)
        self.assertEqual(bool(errors), done.returncode != 0)
        return said, errors

    def of(self, *words):
        return [name for name, word in self.rows if word in words]

    def line(self, name):
        directive = self.listed.get(name.lower())
        words = self.TWO.get(name.lower(), 'On')
        if name.startswith('<'):
            return '%s x>\n</%s>' % (name, name[1:])
        if directive and 'server config' not in directive.contexts:
            return '<Directory "/x">\n%s %s\n</Directory>' % (name, words)
        return '%s %s' % (name, words)

    def test_there_is_something_to_compare(self):
        self.assertGreater(len(self.rows), 600)
        self.assertEqual({word for _, word in self.rows}, set(self.WORDS))

    def test_each_directive_stands_there_once(self):
        count = collections.Counter(name.lower() for name, _ in self.rows)
        self.assertEqual([name for name, n in count.items() if n > 1], [])
        self.assertEqual(sorted(set(self.listed) - set(count)), [], 'in -L, but not in docs/upgrade-from-apache.md')

    def test_what_works_is_there(self):
        page = read('docs/bulkhead.conf.5')
        language = section(page, 'LANGUAGE') + section(page, 'MACROS')
        missing = [name for name in self.of('same', 'better', 'different', 'without effect') if name.lower() not in self.listed
                   and not re.search(r'(?m)^(\.It Ic |\.Ic )?%s\b' % re.escape(name), language)]
        self.assertEqual(missing, [], 'said to work, but neither in -L nor told in docs/bulkhead.conf.5 as part of the language')

    def test_what_the_program_says_itself_is_not_praised(self):
        """-L says of some that they are accepted only, or refused."""
        helped = dict(re.findall(r'^(\S+) \(\S+\)\n\t(.*)$', printed('-L'), re.M))
        only = {name.lower() for name, text in helped.items() if re.match(r'(accepted|refused)\b(?! when)', text, re.I)}
        self.assertGreater(len(only), 20)
        self.assertEqual([name for name in self.of('same', 'better') if name.lower() in only], [])

    def test_what_is_refused_is_refused(self):
        names = self.of('refused')
        self.assertGreater(len(names), 200)
        passed = []
        for first in range(0, len(names), self.AT_ONCE):
            batch = names[first:first + self.AT_ONCE]
            said, errors = self.told([self.line(name) for name in batch])
            self.assertTrue(errors)
            passed += [name for index, name in enumerate(batch) if not any(text.startswith('error: ') for text in said[index])]
        self.assertEqual(passed, [], 'said to be refused, but -t has no error there')

    def test_what_is_refused_says_what_to_use(self):
        """No directive that Apache has is taken for a misspelt one."""
        names = self.of('refused')
        lost = []
        for first in range(0, len(names), self.AT_ONCE):
            with open(os.path.join(self.folder.name, 'one.conf'), 'w', encoding='utf-8') as f:
                f.write('\n'.join(self.line(name) for name in names[first:first + self.AT_ONCE]) + '\n')
            done = subprocess.run([PROGRAM, '-t', '-f', f.name], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            lost += re.findall(r'unknown directive (\S+)\n +(?:it is misspelt|did you mean)', done.stderr)
        self.assertEqual(lost, [])

    def test_what_has_no_effect_says_so(self):
        names = self.of('without effect')
        self.assertGreater(len(names), 40)
        said, errors = self.told([self.line(name) for name in names])
        self.assertEqual(errors, [])
        quiet = [name for index, name in enumerate(names) if not any(text.startswith('notice: ') and re.search('effect|not needed', text) for text in said[index])]
        self.assertEqual(quiet, [], 'said to be without effect, but -t has no notice of that')

    def test_modules_are_there_or_not_as_it_says(self):
        here = set(re.findall(r'^### (.*)$', self.text, re.M))
        here = {name for line in here for name in re.findall(r'mod_\w+(?![*\w])', line)}
        also = re.findall(r'^(?:Also here|Their lines).*?(?:\n\n|\n\|)', self.text, re.M | re.S)
        self.assertEqual(len(also), 2)
        here |= set(re.findall(r'mod_\w+', also[0]))
        away = set(re.findall(r'mod_\w+', also[1]))
        for module in re.findall(r'^\| `.*\| refused \| ((?:m\w+(?:, )?)+):', self.text, re.M):
            away |= {name if name.startswith('mod_') else 'mod_' + name for name in module.split(', ') if name.startswith(('mod_', 'mpm_itk'))}
        here -= {'mod_unixd', 'mod_mpm_'} | PARTS_OF_OTHERS
        self.assertGreater(len(here), 40)
        self.assertGreater(len(away), 60)
        order = sorted(here | away)
        said, errors = self.told(['LoadModule %s_module modules/%s.so' % (name[4:], name) for name in order])
        self.assertEqual(errors, [])
        told = {name for index, name in enumerate(order) if any('is not there' in text for text in said[index])}
        unknown = {name for index, name in enumerate(order) if any('is unknown' in text for text in said[index])}
        self.assertEqual((sorted(told & here), sorted((away - here) - told), sorted(unknown)), ([], [], []),
                         '(here, but -t does not know them; away, but -t says nothing; unknown)')


class Questions(unittest.TestCase):
    def test_each_question_has_its_tests(self):
        """docs/testing.md against the tests that have numbers F01 … in their names."""
        told = {n: set(re.findall(r'`(\w+\.py)`', files)) for n, files in re.findall(r'^\| (F\d\d) \| .* \| (.*) \|$', read('docs', 'testing.md'), re.M)}
        found, folder = {}, os.path.join(TOP, 'tests', 'system')
        for name in sorted(os.listdir(folder)):
            if name.endswith('_test.py'):
                for test in re.findall(r'^    def test_((?:F\d\d_)+)', read('tests', 'system', name), re.M):
                    for n in test.strip('_').split('_'):
                        found.setdefault(n, set()).add(name)
        self.assertEqual(sorted(told), ['F%02d' % n for n in range(1, 40)])
        self.assertEqual(told, found)


class Texts(unittest.TestCase):
    def test_the_files_that_are_named_exist(self):
        """`room/file.c`, `server/room/file.c`, `docs/x.md` and the like, wherever a text names one."""
        texts = ['README.md'] + ['docs/' + name for name in sorted(os.listdir(os.path.join(TOP, 'docs'))) if name.endswith('.md')]
        missing, seen = [], 0
        for text in texts:
            for path in re.findall(r'(?<![\w/.])((?:[\w-]+/)+[\w.-]+\.(?:c|h|md|py|8|5))\b', read(text)):
                seen += 1
                if not any(os.path.exists(os.path.join(TOP, base, path)) for base in ('', 'server')):
                    missing.append((text, path))
        self.assertGreater(seen, 30)
        self.assertEqual(missing, [])

    def test_the_test_command_is_the_one_that_ci_calls(self):
        blocks = re.findall(r'^```\w*\n(.*?)^```$', read('README.md'), re.M | re.S)
        self.assertTrue(any(re.search(r'^make check$', block, re.M) for block in blocks), 'README.md: no code block with "make check"')
        self.assertRegex(read('.ci/run'), r'(?m)^make check$')


if __name__ == '__main__':
    unittest.main()

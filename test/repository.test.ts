/** The repository's own rules: who may import whom, how long a file may be, and that documents are true. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { directivesPage } from '../scripts/directives.ts';

const ROOT = join(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const sources = globSync('**/*.ts', { cwd: SRC }).sort();
const documents = globSync(['*.md', 'docs/**/*.md', 'bench/*.md', 'test/**/*.md', 'examples/**/*.md'], {
  cwd: ROOT,
  exclude: (name) => name.includes('node_modules'),
}).sort();

/**
 * The rooms of `src/`, from the front door to the cellar: a file imports from its own room and from rooms further down.
 * `config` stands at the bottom, for its types (`model.ts`) are what all others speak of; it imports nothing.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['cli'],
  ['admin'],
  ['control'],
  ['store'],
  ['worker'],
  ['http', 'stream'],
  ['variables'],
  ['cache'],
  ['health'],
  ['discovery'],
  ['upstream', 'limit', 'keyval', 'net', 'observe'],
  ['shared'],
  ['config'],
];

/** Messages between the main thread and the workers: types, spoken by both. What the package is, and where. */
const SHARED_BY_ALL = new Set(['worker/protocol.ts', 'version.ts', 'place.ts']);

/** More is two files. */
const LIMIT = 450;

/** Files of `src/` that a file imports, types included. */
function imports(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found = text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map((match) => normalize(join(dirname(file), match[1] ?? '')));
}

const roomOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '');
const floorOf = (room: string): number => FLOORS.findIndex((rooms) => rooms.includes(room));

test('every room of src/ has its floor', () => {
  const unknown = new Set(sources.map(roomOf).filter((room) => room !== '' && floorOf(room) < 0));
  assert.deepEqual([...unknown], [], 'name the room in FLOORS of this test and in docs/architecture.md');
});

test('nothing imports upward', () => {
  const upward = sources.flatMap((file) =>
    imports(file)
      .filter((target) => !SHARED_BY_ALL.has(target) && roomOf(target) !== roomOf(file))
      // Of the rooms on one floor none knows the other, but all may write logs.
      .filter((target) => floorOf(roomOf(target)) <= floorOf(roomOf(file)) && roomOf(target) !== 'observe')
      .map((target) => `${file} imports ${target}`),
  );
  assert.deepEqual(upward, []);
});

/** Builtin modules that a start pays for: what is loaded with `entry`, types and dynamic imports not counted. */
function builtinsOf(entry: string): Map<string, string> {
  const reached = new Set([entry]);
  const builtins = new Map<string, string>();
  for (const file of reached) {
    const text = readFileSync(join(SRC, file), 'utf8');
    for (const [, names = '', target = ''] of text.matchAll(/^(?:import|export) ([^;]*?) from '([^']+)'/gms)) {
      if (/^(?:type )|^\{(?:\s*type [^,}]+,?)+\s*\}$/.test(names)) continue;
      if (target.startsWith('.')) reached.add(normalize(join(dirname(file), target)));
      else builtins.set(target, file);
    }
  }
  return builtins;
}

test('no start loads builtin modules that few configurations need', () => {
  // node:http is all of fetch and WebSocket, too: they are among its exports.
  const always = ['node:http', 'node:https', 'node:http2', 'node:zlib', 'node:child_process', 'node:sqlite'];
  // Workers are started by these two: they wait for what is loaded here.
  const first = [...always, 'node:crypto', 'node:net', 'node:tls', 'node:util'];
  for (const entry of ['cli/main.ts', 'cli/serve.ts', 'control/master.ts', 'config/nginx/load.ts', 'worker/main.ts']) {
    const builtins = builtinsOf(entry);
    assert.ok(builtins.has('node:fs') || builtins.has('node:net'), `${entry} is read`);
    const heavy = entry.startsWith('cli/') ? first : always;
    const found = heavy.filter((name) => builtins.has(name)).map((name) => `${builtins.get(name)} imports ${name}`);
    assert.deepEqual(found, [], `with ${entry}: load it when it is needed`);
  }
});

test('place.ts alone knows where files are: in a build the others have none of their own', () => {
  const asking = sources
    .filter((file) => !['place.ts', 'cli/checkout.ts'].includes(file))
    // Packages are found from anywhere in this one.
    .filter((file) => read(`src/${file}`).replaceAll('createRequire(import.meta.url)', '').includes('import.meta'));
  assert.deepEqual(asking, []);
});

test('upstream/ knows no protocol and no socket', () => {
  const bad = sources
    .filter((file) => roomOf(file) === 'upstream')
    .filter((file) => /from 'node:(net|tls|http|https|http2|dgram|dns|worker_threads|fs)/.test(read(`src/${file}`)));
  assert.deepEqual(bad, []);
});

test('configuration is read without sockets, threads and clock', () => {
  const bad = sources
    .filter((file) => roomOf(file) === 'config')
    .filter((file) =>
      /from 'node:(net|http|dgram|worker_threads)'|Date\.now|performance\.now/.test(read(`src/${file}`)),
    )
    // isIP is a function of texts.
    .filter((file) => !/^import \{ (?:isIP|isIPv4|isIPv6|BlockList)[^}]*\} from 'node:net'/m.test(read(`src/${file}`)));
  assert.deepEqual(bad, []);
});

test(`no file of src/ has more than ${LIMIT} lines`, () => {
  const long = sources
    .map((file) => ({ file, lines: read(`src/${file}`).split('\n').length - 1 }))
    .filter(({ lines }) => lines > LIMIT);
  assert.deepEqual(long, [], 'ask what it is two of');
});

test('every dependency has its line in docs/dependencies.md', () => {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string> | undefined
  >;
  const names = [...Object.keys(dependencies), ...Object.keys(devDependencies)].sort();
  const text = read('docs/dependencies.md');
  const listed = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '').sort();
  assert.deepEqual(listed, names);
});

test('every package of the lock file can be installed from the lock file alone', () => {
  // npm ci refuses a lock file that lacks what some package asks for, binaries for other platforms included.
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string>; dependencies?: Record<string, string> }>;
  };
  const lacking = Object.entries(packages).flatMap(([path, { dependencies = {}, optionalDependencies = {} }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .filter((name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(lacking, []);
});

test('docs/directives.md is current', async () => {
  assert.equal(read('docs/directives.md'), await directivesPage(), 'npm run docs');
});

/** `## What it *is*` is `#what-it-is`, as repositories' web pages have it. */
function anchors(text: string): Set<string> {
  const headings = text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map((match) =>
      (match[1] ?? '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );
}

test('links of the documents lead somewhere', () => {
  const broken: string[] = [];
  for (const file of documents) {
    const text = read(file).replace(/```.*?```/gs, '');
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"/g)].map(
      (match) => match[1] ?? match[2] ?? '',
    );
    for (const target of targets) {
      if (/^(https?|mailto):/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const full = path === '' ? join(ROOT, file) : join(ROOT, dirname(file), path);
      if (!existsSync(full)) broken.push(`${file}: ${target}`);
      else if (anchor !== undefined && full.endsWith('.md') && !anchors(readFileSync(full, 'utf8')).has(anchor)) {
        broken.push(`${file}: ${target}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});

test('paths of src/ and docs/ that documents name exist', () => {
  const missing: string[] = [];
  for (const file of documents) {
    const text = read(file).replace(/```.*?```/gs, '');
    for (const [, path = ''] of text.matchAll(/`((?:src|test|docs|bench|examples|scripts|bin)\/[\w./-]+)`/g)) {
      if (/bench\/(results|node_modules)/.test(path)) continue;
      if (!existsSync(join(ROOT, path))) missing.push(`${file}: ${path}`);
    }
  }
  assert.deepEqual(missing, []);
});

test('scripts that the documents name exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const file of documents) {
    for (const [, name = ''] of read(file).matchAll(/npm run (?:-s )?([a-z:]+)/g)) {
      assert.ok(name in scripts, `${file}: npm run ${name}`);
    }
  }
});

test('no path of a developer’s machine in the documents', () => {
  for (const file of documents) assert.doesNotMatch(read(file), /\/(?:home|Users|root|work)\/\w/, relative(ROOT, file));
});

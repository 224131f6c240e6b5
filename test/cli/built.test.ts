/** What a checkout runs: `dist/` as long as it is of the sources that are there; and that `dist/` alone is all of the program. */
import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test, type TestContext } from 'node:test';
import { isBuilt, type Manifest } from '../../src/cli/built.ts';
import { directory, freePort, get, Program, until } from '../control/harness.ts';

const ROOT = join(import.meta.dirname, '../..');
/** "secret", by SHA-512 of crypt(3): slow, so it is checked by a thread of its own. */
const PASSWORD = '$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1';

/** Says that these files belong together. */
function sign(root: string, paths: readonly string[]): void {
  const contents = paths.map((path) => readFileSync(root + path));
  const files = paths.map((path, i): [string, number] => [path, contents[i]!.length]);
  writeFileSync(`${root}dist/build.json`, JSON.stringify({ files } satisfies Manifest));
  writeFileSync(`${root}dist/build.copy`, Buffer.concat(contents));
}

test('a build is of these sources, or it is none', (t) => {
  const root = `${directory(t)}/`;
  const write = (file: string, text: string): void => {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(root + file, text);
  };
  const files = ['dist/a.js', 'src/a.ts', 'src/room/b.ts'];
  const restore = (): void => {
    for (const file of files) write(file, `text of ${file}`);
    sign(root, files);
  };
  assert.equal(isBuilt(root), false, 'nothing is there');
  restore();
  assert.equal(isBuilt(root), true);
  utimesSync(`${root}src/a.ts`, 1e9, 1e9);
  write('src/c.ts', 'of no interest');
  assert.equal(isBuilt(root), true, 'times and other files say nothing');

  const changes: [what: string, change: () => void][] = [
    [
      'a source of the same length and time',
      () => (write('src/a.ts', 'TEXT of src/a.ts'), utimesSync(`${root}src/a.ts`, 1e9, 1e9)),
    ],
    ['a source that is gone', () => rmSync(`${root}src/room/b.ts`)],
    [
      'bytes that have moved to the next file',
      () => (write('src/a.ts', 'text of src/a.tst'), write('src/room/b.ts', 'ext of src/room/b.ts')),
    ],
    ['a damaged build', () => write('dist/a.js', 'text of dist/a.jz')],
    ['an empty file of the build', () => write('dist/a.js', '')],
    ['half of a build', () => rmSync(`${root}dist/a.js`)],
    ['a copy that is cut off', () => truncateSync(`${root}dist/build.copy`, 20)],
    ['a copy that is too long', () => write('dist/build.copy', `${readFileSync(`${root}dist/build.copy`, 'utf8')} `)],
    ['no copy', () => rmSync(`${root}dist/build.copy`)],
    ['no manifest', () => rmSync(`${root}dist/build.json`)],
    ['half of a manifest', () => truncateSync(`${root}dist/build.json`, 40)],
    ['another manifest', () => write('dist/build.json', '{"files":7}')],
  ];
  for (const [what, change] of changes) {
    restore();
    utimesSync(`${root}src/a.ts`, 1e9, 1e9);
    assert.equal(isBuilt(root), true);
    change();
    assert.equal(isBuilt(root), false, what);
  }
});

suite('a checkout', () => {
  let root = '';
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'headrace-test-'));
    for (const part of ['bin', 'src', 'scripts', 'dashboard/built', 'package.json']) {
      cpSync(join(ROOT, part), join(root, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const env = { ...process.env, HEADRACE_SOURCES: '', HEADRACE_NODE: process.execPath };
  const start = (t: TestContext, ...args: string[]): Program => new Program(t, join(root, 'bin/headrace'), args, env);

  async function version(t: TestContext, more: NodeJS.ProcessEnv = {}): Promise<string> {
    const program = new Program(t, join(root, 'bin/headrace'), ['-v'], { ...env, ...more });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.stderr);
    return program.stderr;
  }

  /** Runs a file of `scripts/`. */
  async function script(t: TestContext, name: string): Promise<string> {
    const program = new Program(t, process.execPath, [join(root, 'scripts', name)], env);
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.stderr);
    return program.stderr;
  }

  const edit = (file: string, from: string, to: string): void => {
    const text = readFileSync(join(root, file), 'utf8');
    assert.ok(text.includes(from), `${file} has ${from}`);
    writeFileSync(join(root, file), text.replaceAll(from, to));
  };
  const builtOf = (): string[] =>
    (JSON.parse(readFileSync(join(root, 'dist/build.json'), 'utf8')) as Manifest).files.map(([path]) => path);
  const has = (file: string, text: string): boolean => readFileSync(join(root, file), 'utf8').includes(text);

  test('runs what is built of its sources, and the sources whenever they or the build have changed', async (t) => {
    assert.match(await version(t), /^nginx version/);
    await script(t, 'build.ts');
    assert.match(await version(t), /^nginx version/);

    // Something that only the build says, and a copy that agrees.
    const files = builtOf();
    const file = files.find((name) => name.startsWith('dist/') && has(name, 'nginx version:'));
    assert.ok(file !== undefined);
    edit(file, 'nginx version:', 'built version:');
    assert.match(await version(t), /^nginx version/, 'a build that has been changed');
    sign(`${root}/`, files);
    assert.match(await version(t), /^built version/, 'the build is run');
    assert.match(await version(t, { HEADRACE_SOURCES: '1' }), /^nginx version/);

    edit('src/cli/version.ts', 'nginx version:', 'edited version:');
    assert.match(await version(t), /^edited version/, 'a source that has been changed');
    await Promise.all([script(t, 'build.ts'), script(t, 'build.ts')]);
    assert.ok(isBuilt(`${root}/`));
    assert.deepEqual(
      builtOf().filter((name) => name.startsWith('dist/') && has(name, 'edited version:')).length,
      1,
      'a stale build is replaced',
    );
    const left = readdirSync(root).filter((name) => name.startsWith('dist'));
    assert.deepEqual(left, ['dist'], 'two builds at a time leave one');
    edit('src/cli/version.ts', 'edited version:', 'nginx version:');

    // A directory that nothing can be written into: a file.
    rmSync(join(root, 'dist'), { recursive: true });
    writeFileSync(join(root, 'dist'), '');
    assert.match(await version(t), /^nginx version/);
    await script(t, 'build.ts');
    assert.ok(isBuilt(`${root}/`), 'what stands in the way of a build is replaced');
  });

  test('is installed all the same where nothing can be built', async (t) => {
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    unlinkSync(join(root, 'node_modules'));
    assert.match(await script(t, 'prepare.mjs'), /^headrace: not built: bin\/headrace runs the sources/);
    assert.match(await version(t), /^nginx version/);
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    assert.equal(await script(t, 'prepare.mjs'), '');
    assert.ok(isBuilt(`${root}/`));
  });

  test('as a package: dist/ alone serves, with its threads and its page', async (t) => {
    if (!isBuilt(`${root}/`)) await script(t, 'build.ts');
    for (const part of ['src', 'scripts', 'dist/build.json', 'dist/build.copy'])
      rmSync(join(root, part), { recursive: true });
    const dir = directory(t);
    const port = await freePort();
    writeFileSync(join(dir, 'users'), `me:${PASSWORD}\n`);
    writeFileSync(
      join(dir, 'nginx.conf'),
      `daemon off; pid nginx.pid; error_log error.log; worker_processes 2; events {}
       http { access_log off; server { listen 127.0.0.1:${port};
         location / { return 200 served; }
         location /page { dashboard; }
         location /closed { auth_basic realm; auth_basic_user_file users; return 204; } } }`,
    );
    const program = start(t, '-p', dir, '-c', 'nginx.conf', '-e', 'error.log');
    await until('an answer', async () => (await get(port)).endsWith('served'));
    assert.match(await get(port, '/page'), /^HTTP\/1\.1 200 OK\r\n[^]*<!doctype html>/i);
    const answer = await fetch(`http://127.0.0.1:${port}/closed`, {
      headers: { authorization: `Basic ${btoa('me:secret')}` },
    });
    assert.equal(answer.status, 204);
    program.signal('SIGQUIT');
    assert.equal((await program.ended).code, 0);
  });
});

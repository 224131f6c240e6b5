/** Groups that change while they run: through the manager, over restarts by the state file, whatever dies. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadNginxConfig } from '../../src/config/nginx/load.ts';
import { GroupError, type GroupErrorCode } from '../../src/control/group-error.ts';
import { Groups, type ManagedGroup } from '../../src/control/groups.ts';
import { StateFile, stateText } from '../../src/control/state-file.ts';
import { Attempt, createTable, Group } from '../../src/upstream/group.ts';
import { OK } from '../upstream/fixtures.ts';

/** Kills of a process that writes state files, and how many it is writing at that moment; a soak sets more. */
const KILLS = Number(process.env.STATE_KILLS ?? 20);
const FILES = 16;

const dir = mkdtempSync(join(tmpdir(), 'headrace-test-'));
after(() => rmSync(dir, { recursive: true, force: true }));

interface Loaded {
  group: ManagedGroup;
  worker: Group;
  changes: () => number;
}

async function config(block: string): ReturnType<typeof loadNginxConfig> {
  const file = join(dir, 'nginx.conf');
  writeFileSync(file, `events {} http { upstream u { zone u 64k; ${block} } }`);
  const options = { prefix: dir, file, globals: '', cpuCount: 1, superUser: false, lookup: () => [] };
  return loadNginxConfig(options);
}

/** The group `u` as the main thread and a worker have it. */
async function load(block: string): Promise<Loaded> {
  const loaded = (await config(block)).config;
  const tables = loaded.http!.upstreams.map((upstream) => createTable(upstream));
  let changes = 0;
  const groups = new Groups({ now: Date.now, changed: () => void changes++, health: () => null });
  groups.follow({ config: loaded, data: { tables } as never, maxWorkers: 32 });
  assert.deepEqual(groups.names(), ['u']);
  assert.equal(groups.get('nobody'), null);
  const worker = new Group(loaded.http!.upstreams[0]!, tables[0]!, {
    workerId: 0,
    clock: { now: Date.now },
    random: Math.random,
  });
  return { group: groups.get('u')!, worker, changes: () => changes };
}

function served(worker: Group, count: number): string[] {
  const attempt = new Attempt();
  return Array.from({ length: count }, () => {
    worker.begin(attempt, {}, 0);
    const slot = worker.pick(attempt);
    if (slot < 0) return 'nobody';
    const { address } = worker.peer(slot);
    worker.done(attempt, OK);
    return address;
  }).sort();
}

const refused = (code: GroupErrorCode) => (error: Error) => error instanceof GroupError && error.code === code;

describe('changes at run time', () => {
  it('are seen by the next pick, and disturb no request', async () => {
    const { group, worker, changes } = await load('server 127.0.0.1:1;');
    const { id } = await group.add({ server: '127.0.0.1:2', weight: 2 });
    assert.deepEqual(served(worker, 3), ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:2']);
    const held = new Attempt();
    worker.begin(held, { stickySid: group.peer(id).sid }, 0);
    assert.equal(worker.pick(held), id);

    assert.equal((await group.update(id, { drain: true })).state, 'draining');
    assert.deepEqual(served(worker, 2), ['127.0.0.1:1', '127.0.0.1:1']);
    await group.update(id, { drain: false, weight: 1 });
    assert.deepEqual(new Set(served(worker, 10)), new Set(['127.0.0.1:1', '127.0.0.1:2']));
    await group.remove(id);
    assert.equal(group.snapshot().zombies, 1);
    worker.done(held, OK);
    assert.equal(group.snapshot().zombies, 0);
    assert.deepEqual(
      group.snapshot().peers.map(({ address }) => address),
      ['127.0.0.1:1'],
    );
    assert.equal(changes(), 4);
  });

  it('that cannot be made say why, and change nothing', async () => {
    const { group } = await load('hash $uri; server 127.0.0.1:1;');
    const { version } = group;
    await assert.rejects(group.add({ server: '127.0.0.1:99999' }), refused('UpstreamBadAddress'));
    await assert.rejects(group.add({ server: 'name.test:80' }), refused('UpstreamConfNoResolver'));
    await assert.rejects(group.add({ server: '127.0.0.1:2', backup: true }), refused('UpstreamNoBackup'));
    await assert.rejects(group.add({ server: '127.0.0.1:2', slowStartMs: 1 }), refused('UpstreamBadSlowStart'));
    await assert.rejects(group.add({ server: '127.0.0.1:2', route: 'x'.repeat(33) }), refused('UpstreamBadRoute'));
    await assert.rejects(group.update(7, { weight: 2 }), refused('UpstreamServerNotFound'));
    await assert.rejects(group.remove(7), refused('UpstreamServerNotFound'));
    assert.equal(group.version, version);
    for (;;) {
      try {
        await group.add({ server: '127.0.0.1:3' });
      } catch (error) {
        assert.ok(refused('UpstreamOutOfMemory')(error as Error));
        break;
      }
    }
  });
});

describe('the state file', () => {
  it('brings servers over a restart with all their parameters', async () => {
    const path = join(dir, 'restart.state');
    const { group } = await load(`state ${path};`);
    assert.deepEqual(group.snapshot().peers, []);
    const options = { weight: 3, maxConns: 7, maxFails: 0, failTimeoutSec: 5, slowStartMs: 1500 };
    const first = await group.add({ server: '127.0.0.1:1', route: 'a"b', ...options });
    await group.add({ server: '[::1]:2', backup: true });
    await group.add({ server: 'unix:/tmp/some thing' });
    await group.update(first.id, { drain: true });
    assert.equal(
      readFileSync(path, 'utf8'),
      'server 127.0.0.1:1 weight=3 max_conns=7 max_fails=0 fail_timeout=5s slow_start=1500ms "route=a\\"b" drain;\n' +
        'server "unix:/tmp/some thing";\nserver [::1]:2 backup;\n',
    );
    const again = (await load(`state ${path};`)).group.snapshot().peers;
    const kept = ['server', 'address', 'sid', 'backup', 'state', ...Object.keys(options)] as const;
    const pick = (peer: object): unknown[] => kept.map((key) => (peer as Record<string, unknown>)[key]);
    assert.deepEqual(again.map(pick), group.snapshot().peers.map(pick));
    assert.deepEqual(
      readdirSync(dir).filter((name) => name.includes('.tmp')),
      [],
    );
  });

  it('that is damaged is refused with its file and line', async () => {
    const path = join(dir, 'damaged.state');
    const cases: Record<string, string> = {
      'server 127.0.0.1:1;\nserver 127.0.0.1:2 weight=zwei;\n': `invalid parameter "weight=zwei" in ${path}:2`,
      'server 127.0.0.1:1;\n\nlisten 80;\n': `unknown "listen" in a state file, it must be "server" in ${path}:3`,
      'server 127.0.0.1:1;\nserver 127.0.0.1:2': `unexpected end of file, expecting ";" or "}" in ${path}:2`,
      'server;\n': `invalid number of arguments in "server" directive in ${path}:1`,
      'server 127.0.0.1:1 {\n': `unexpected "{" in ${path}:1`,
    };
    for (const [text, message] of Object.entries(cases)) {
      writeFileSync(path, text);
      await assert.rejects(config(`state ${path};`), { message });
    }
  });

  it('that cannot be written is told; the old one stays', async () => {
    const { group } = await load(`state ${join(dir, 'no/such/directory')};`);
    await assert.rejects(group.add({ server: '127.0.0.1:1' }), refused('StateNotWritten'));
  });

  it('has the last of many changes, and is written less often than it changes', async () => {
    const file = new StateFile(join(dir, 'many.state'));
    const writes = Array.from({ length: 200 }, (_, i) => file.write(`# ${i}\n`));
    await writes[0];
    await Promise.all(writes);
    assert.equal(readFileSync(file.path, 'utf8'), '# 199\n');
    assert.equal(stateText([]), '');
  });

  it(`is whole after each of ${KILLS * FILES} writers was killed`, async () => {
    const path = join(dir, 'killed.state');
    const versions = new Set<string>();
    for (let i = 0; i < KILLS; i++) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'state-writer.ts'), path, String(FILES)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = new Promise((resolve) => child.once('close', resolve));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
      child.kill('SIGKILL');
      await ended;
      for (let n = 0; n < FILES; n++) {
        const text = readFileSync(`${path}.${n}`, 'utf8');
        const lines = text.trimEnd().split('\n');
        assert.equal(lines.at(-1), `# ${lines.length - 1}`, text);
        versions.add(text);
      }
    }
    assert.ok(versions.size > KILLS, `${versions.size} versions`);
  });
});

/** Access logs: when lines are written, bounds, compression, reopening. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { reopenFiles } from '../../src/observe/append-file.ts';
import { AccessLogs } from '../../src/observe/access-log-writer.ts';

const PLAIN = { bufferSize: 0, flushMs: 0, gzipLevel: 0 };

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-access-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function logs(t: TestContext, onFailure?: (message: string) => void): AccessLogs {
  const all = new AccessLogs(onFailure === undefined ? {} : { onFailure });
  t.after(() => all.close());
  return all;
}

test('lines of one turn are written together at its end', async (t) => {
  const path = join(directory(t), 'log');
  const file = logs(t).open(path, PLAIN);
  assert.equal(readFileSync(path, 'latin1'), '');
  file.write('one\n');
  file.write('tw\xf6\n');
  assert.equal(readFileSync(path, 'latin1'), '');
  await turn();
  await turn();
  assert.equal(readFileSync(path, 'latin1'), 'one\ntw\xf6\n');
});

test('many lines in one turn do not pile up', (t) => {
  const path = join(directory(t), 'log');
  const file = logs(t).open(path, PLAIN);
  for (let i = 0; i < 1000; i++) file.write(`${'x'.repeat(999)}\n`);
  assert.ok(readFileSync(path).length > 900_000);
});

test('buffer= holds lines until it is full; flush= bounds how long', async (t) => {
  const dir = directory(t);
  const all = logs(t);
  const file = all.open(join(dir, 'a'), { ...PLAIN, bufferSize: 10 });
  file.write('12345\n');
  await turn();
  assert.equal(readFileSync(join(dir, 'a'), 'utf8'), '');
  // nginx: the buffer goes when the next line does not fit.
  file.write('678901\n');
  assert.equal(readFileSync(join(dir, 'a'), 'utf8'), '12345\n');
  file.write('a line that is longer than the buffer\n');
  assert.equal(readFileSync(join(dir, 'a'), 'utf8').split('\n').length, 4);

  const timed = all.open(join(dir, 'b'), { ...PLAIN, bufferSize: 1000, flushMs: 30 });
  timed.write('soon\n');
  assert.equal(readFileSync(join(dir, 'b'), 'utf8'), '');
  for (let i = 0; i < 100 && readFileSync(join(dir, 'b')).length === 0; i++) await sleep(10);
  assert.equal(readFileSync(join(dir, 'b'), 'utf8'), 'soon\n');
});

test('the same path and options are one log; close writes what is left', (t) => {
  const path = join(directory(t), 'log');
  const all = logs(t);
  const options = { ...PLAIN, bufferSize: 1000 };
  assert.equal(all.open(path, options), all.open(path, { ...options }));
  all.open(path, options).write('left\n');
  all.close();
  assert.equal(readFileSync(path, 'utf8'), 'left\n');
});

test('gzip=: members in order, complete after close', async (t) => {
  const path = join(directory(t), 'log.gz');
  const all = logs(t);
  const file = all.open(path, { bufferSize: 100, flushMs: 0, gzipLevel: 1 });
  let expected = '';
  for (let i = 0; i < 200; i++) {
    const line = `line ${i}\n`;
    expected += line;
    file.write(line);
    if (i % 50 === 0) await sleep(5);
  }
  all.close();
  assert.equal(gunzipSync(readFileSync(path)).toString(), expected);
});

test('reopen: lines before it are in the old file', async (t) => {
  const path = join(directory(t), 'log');
  const all = logs(t);
  const file = all.open(path, { ...PLAIN, bufferSize: 1000 });
  file.write('old\n');
  renameSync(path, `${path}.1`);
  all.prepareReopen();
  assert.deepEqual(reopenFiles(), []);
  file.write('new\n');
  file.flush();
  assert.equal(readFileSync(`${path}.1`, 'utf8'), 'old\n');
  assert.equal(readFileSync(path, 'utf8'), 'new\n');
});

test('paths of variables: few stay open, none for long', async (t) => {
  const dir = directory(t);
  const all = logs(t);
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 300; i++) all.writeTo(join(dir, `log${i}`), `${i}\n`, 0);
  assert.ok(open() - before <= 70, `${open() - before} descriptors`);
  await turn();
  await turn();
  for (const i of [0, 150, 299]) assert.equal(readFileSync(join(dir, `log${i}`), 'utf8'), `${i}\n`);
  // One that is removed is made anew without a signal.
  unlinkSync(join(dir, 'log299'));
  all.writeTo(join(dir, 'log299'), 'again\n', 1500);
  all.flush();
  assert.equal(readFileSync(join(dir, 'log299'), 'utf8'), 'again\n');
  all.close();
  assert.equal(open(), before);
});

test('a full disk: lines are lost and counted, reported once', { skip: !existsSync('/dev/full') }, (t) => {
  const reports: string[] = [];
  const file = logs(t, (message) => void reports.push(message)).open('/dev/full', PLAIN);
  for (let i = 0; i < 5; i++) {
    file.write('line\n');
    file.flush();
  }
  assert.equal(file.lost, 5);
  assert.deepEqual(reports, ['write() to "/dev/full" failed (28: No space left on device)']);
});

test('a pipe with a slow reader: nothing waits, memory is bounded, what was taken comes out whole', async (t) => {
  const path = join(directory(t), 'pipe');
  execFileSync('mkfifo', [path]);
  const reports: string[] = [];
  const all = logs(t, (message) => void reports.push(message));
  // Nobody there at all.
  all.open(path, { ...PLAIN, bufferSize: 1 }).write('lost\n');
  assert.match(reports[0]!, /^open\(\) ".*pipe" failed \(6: No such device or address\)$/);
  all.close();

  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(reader));
  const file = all.open(path, PLAIN);
  const line = `${'x'.repeat(1023)}\n`;
  for (let i = 0; i < 4096; i++) file.write(line);
  file.flush();
  assert.ok(file.lost > 0);
  assert.equal(reports.length, 2);
  assert.match(reports[1]!, /too slow/);

  const chunk = Buffer.alloc(65536);
  let text = '';
  for (let idle = 0; idle < 10; idle++) {
    try {
      for (;;) {
        const length = readSync(reader, chunk);
        if (length === 0) break;
        text += chunk.toString('latin1', 0, length);
        idle = 0;
      }
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
    await sleep(15);
  }
  assert.ok(text.length > 500_000 && text.length < 1_500_000, `${text.length}`);
  assert.ok(text.split('\n').every((part) => part === '' || part.length === 1023));
});

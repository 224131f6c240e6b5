/** The error log: lines, levels, targets, reopening, and that it never throws. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { reopenFiles } from '../../src/observe/append-file.ts';
import { failedText } from '../../src/observe/errno.ts';
import { encodeLine, ErrorLog } from '../../src/observe/error-log.ts';
import { formatSyslog, splitServer } from '../../src/observe/syslog.ts';

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-observe-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('lines, levels, several targets', (t) => {
  const dir = directory(t);
  const terminal: string[] = [];
  const log = new ErrorLog(
    [
      { kind: 'file', path: join(dir, 'a'), level: 'info' },
      { kind: 'file', path: join(dir, 'b'), level: 'crit' },
      { kind: 'stderr', level: 'error' },
    ],
    { stderr: (line) => void terminal.push(line) },
  );
  assert.deepEqual([log.enabled('info'), log.enabled('debug')], [true, false]);
  log.info('one');
  log.error('two', 17);
  log.crit('three');
  log.debug('none');
  log.write('debug', 'forced', 0, true);
  const stamp = '\\d{4}/\\d\\d/\\d\\d \\d\\d:\\d\\d:\\d\\d';
  const origin = `${process.pid}#0: `;
  const lines = readFileSync(join(dir, 'a'), 'utf8').split('\n');
  assert.match(lines[0]!, new RegExp(`^${stamp} \\[info\\] ${origin}one$`));
  assert.match(lines[1]!, new RegExp(`^${stamp} \\[error\\] ${origin}\\*17 two$`));
  assert.equal(lines.length, 5);
  assert.match(readFileSync(join(dir, 'b'), 'utf8'), /three\n.*forced\n$/);
  assert.equal(terminal.length, 3);
  log.close();
  log.emerg('nowhere');
});

test('copies to the terminal: warnings and worse, once', (t) => {
  const dir = directory(t);
  const terminal: string[] = [];
  const stderr = (line: string): void => void terminal.push(line);
  const log = new ErrorLog([{ kind: 'file', path: join(dir, 'a'), level: 'error' }], { copyToStderr: true, stderr });
  log.warn('careful');
  log.notice('by the way');
  log.emerg('broken');
  assert.deepEqual(terminal, ['nginx: [warn] careful\n', 'nginx: [emerg] broken\n']);
  assert.doesNotMatch(readFileSync(join(dir, 'a'), 'utf8'), /careful/);
  log.setTargets([{ kind: 'stderr', level: 'error' }]);
  log.emerg('once');
  assert.equal(terminal.length, 3);
  log.stopCopies();
  log.warn('quiet now');
  assert.equal(terminal.length, 3);
  log.close();
});

test('clients cannot forge lines or make them long', (t) => {
  const path = join(directory(t), 'log');
  const log = new ErrorLog([{ kind: 'file', path, level: 'error' }]);
  log.error('a\n2026/01/01 00:00:00 [alert] forged\x1b[2J');
  log.error('x'.repeat(10_000));
  const lines = readFileSync(path, 'utf8').split('\n');
  assert.equal(lines.length, 3);
  assert.match(lines[0]!, /a\\x0A2026.*forged\\x1B\[2J$/);
  assert.equal(lines[1]!.length, 2047);
  log.close();
});

test('bytes of requests and texts of configurations both come out as they are', () => {
  const utf8 = Buffer.from('/é€', 'utf8');
  assert.deepEqual(Buffer.from(encodeLine(utf8.toString('latin1'))), utf8);
  assert.deepEqual(Buffer.from(encodeLine('/é€')), utf8);
  assert.deepEqual(Buffer.from(encodeLine('/é')), Buffer.from('/é', 'utf8'));
  assert.deepEqual(Buffer.from(encodeLine('plain')), Buffer.from('plain'));
});

test('a file that cannot be opened or written: counted, said, no exception', (t) => {
  const dir = directory(t);
  const log = new ErrorLog([{ kind: 'file', path: join(dir, 'no', 'log'), level: 'error' }]);
  assert.deepEqual(log.failures(), [`open() "${dir}/no/log" failed (2: No such file or directory)`]);
  log.error('lost');
  assert.equal(log.lost, 1);
  log.close();
  if (!existsSync('/dev/full')) return;
  const full = new ErrorLog([{ kind: 'file', path: '/dev/full', level: 'error' }]);
  full.error('lost');
  full.error('not even tried in this second');
  assert.equal(full.lost, 2);
  assert.deepEqual(full.failures(), ['write() to "/dev/full" failed (28: No space left on device)']);
  full.close();
});

test('reopen after a rename; logs of one path share a descriptor', (t) => {
  const path = join(directory(t), 'log');
  const one = new ErrorLog([{ kind: 'file', path, level: 'error' }]);
  const two = new ErrorLog([{ kind: 'file', path, level: 'info' }]);
  one.error('before');
  renameSync(path, `${path}.1`);
  two.info('still there');
  assert.deepEqual(reopenFiles(), []);
  one.error('after');
  one.close();
  two.info('two is open');
  assert.match(readFileSync(`${path}.1`, 'utf8'), /before\n.*still there\n$/);
  assert.match(readFileSync(path, 'utf8'), /after\n.*two is open\n$/);
  two.close();
});

test('lines of several threads do not mix', async (t) => {
  const path = join(directory(t), 'log');
  const module = JSON.stringify(new URL('../../src/observe/error-log.ts', import.meta.url).href);
  const code = `
    const { ErrorLog } = await import(${module});
    const log = new ErrorLog([{ kind: 'file', path: ${JSON.stringify(path)}, level: 'info' }]);
    for (let i = 0; i < 500; i++) log.info('x'.repeat(200));
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  await Promise.all([1, 2, 3].map(() => new Promise((resolve) => new Worker(url).once('exit', resolve))));
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.equal(lines.length, 1500);
  assert.ok(lines.every((line) => /^\S+ \S+ \[info\] \d+#[1-9]\d*: x{200}$/.test(line)));
});

test('errors in the words of glibc', () => {
  const error = (code: string, errno: number) => Object.assign(new Error('x'), { code, errno });
  assert.equal(failedText('bind()', error('EADDRINUSE', -98)), 'bind() failed (98: Address already in use)');
  assert.equal(failedText('a', error('EADDRNOTAVAIL', -99)), 'a failed (99: Cannot assign requested address)');
  assert.equal(failedText('a', error('EACCES', -13)), 'a failed (13: Permission denied)');
  assert.equal(failedText('a', new Error('own words')), 'a failed (own words)');
});

const TARGET = { server: '', facility: 'local7', severity: 'info', tag: 'nginx', hostname: true };

test('syslog: RFC 3164 as nginx writes it', () => {
  const at = new Date(2026, 10, 5, 7, 8, 9).getTime();
  assert.equal(formatSyslog(TARGET, 6, 'text', 'host', at), '<190>Nov  5 07:08:09 host nginx: text');
  const other = { ...TARGET, facility: 'user', tag: 'T', hostname: false };
  assert.equal(formatSyslog(other, 1, 'text', 'host', at), '<9>Nov  5 07:08:09 T: text');
  assert.equal(formatSyslog(TARGET, 6, 'x'.repeat(5000), 'host').length, 2048);
  assert.deepEqual(splitServer('[::1]:515'), { host: '::1', port: 515 });
  assert.deepEqual(splitServer('log.example'), { host: 'log.example', port: 514 });
});

test('syslog over UDP', async (t) => {
  const server = createSocket('udp4');
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const target = { ...TARGET, server: `127.0.0.1:${port}`, severity: 'alert' };
  const log = new ErrorLog([{ kind: 'syslog', target, level: 'warn' }]);
  const received = new Promise<string>((resolve) => server.once('message', (message) => resolve(message.toString())));
  log.warn('hello');
  // An error log's message has its own severity (4), whatever the target says.
  assert.match(await received, /^<188>\w{3} [ \d]\d [\d:]{8} \S+ nginx: \d{4}\/\S+ \S+ \[warn\] \d+#0: hello$/);
  log.close();
});

test('syslog to a unix socket that nobody listens on costs lines, nothing else', (t) => {
  const target = { ...TARGET, server: `unix:${join(directory(t), 'none')}` };
  const log = new ErrorLog([{ kind: 'syslog', target, level: 'warn' }]);
  log.warn('lost');
  assert.equal(log.lost, 1);
  log.close();
});

/** open_log_file_cache: which files stay open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogFileCache } from '../../src/observe/log-file-cache.ts';

/** A cache whose files tell what happens to them. */
function recorded(options: Partial<ConstructorParameters<typeof LogFileCache>[0]>) {
  const events: string[] = [];
  const cache = new LogFileCache({ max: 3, inactiveMs: 10_000, minUses: 1, validMs: 60_000, ...options }, (path) => {
    events.push(`open ${path}`);
    return {
      write: (line) => void events.push(`${path}: ${line}`),
      close: () => void events.push(`close ${path}`),
      flush: () => void events.push(`flush ${path}`),
    };
  });
  return { cache, events };
}

test('a file stays open from its second use on, if it shall', () => {
  const { cache, events } = recorded({ minUses: 2 });
  for (let i = 0; i < 3; i++) cache.write('a', String(i), i);
  assert.deepEqual(events, ['open a', 'a: 0', 'close a', 'open a', 'a: 1', 'a: 2']);
});

test('the name that was not used for longest makes room, one that is idle is forgotten', () => {
  const { cache, events } = recorded({ max: 2, inactiveMs: 100 });
  cache.write('a', '', 0);
  cache.write('b', '', 1);
  cache.write('a', '', 2);
  cache.write('c', '', 3);
  assert.deepEqual(events.splice(0), ['open a', 'a: ', 'open b', 'b: ', 'a: ', 'open c', 'close b', 'c: ']);
  cache.write('c', '', 102);
  assert.deepEqual(events.splice(0), ['close a', 'c: ']);
});

test('what cannot be opened makes nobody leave, and is forgotten', () => {
  const opened: string[] = [];
  const cache = new LogFileCache({ max: 1, inactiveMs: 10_000, minUses: 1, validMs: 60_000 }, (path) => {
    opened.push(path);
    return path === 'bad' ? null : { write() {}, close() {}, flush() {} };
  });
  for (const path of ['good', 'bad', 'good', 'bad']) cache.write(path, '', 0);
  assert.deepEqual(opened, ['good', 'bad', 'bad']);
});

test('a file is opened anew when its time is over, and after a reopen', () => {
  const { cache, events } = recorded({ validMs: 50 });
  cache.write('a', '', 0);
  cache.write('a', '', 49);
  cache.write('a', '', 50);
  cache.flush();
  cache.reopen();
  cache.write('a', '', 51);
  cache.close();
  assert.deepEqual(events, [
    'open a',
    'a: ',
    'a: ',
    'close a',
    'open a',
    'a: ',
    'flush a',
    'close a',
    'open a',
    'a: ',
    'close a',
  ]);
});

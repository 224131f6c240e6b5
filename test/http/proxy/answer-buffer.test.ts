import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AnswerBuffer } from '../../../src/http/proxy/answer-buffer.ts';
import { SENT } from '../../../src/http/request.ts';
import { until } from '../../helpers/wait.ts';

/** Sizes of reads that fill no piece of memory whole, and one of each kind beside them. */
for (const size of [1000, 16_000, 16_384, 17_000, 33_000]) {
  test(`an answer that is kept reaches its file whole, in reads of ${size} bytes`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'headrace-test-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const path = join(directory, 'answer');
    const sent: Buffer[] = [];
    let paused = false;
    let complete = false;
    const buffer = new AnswerBuffer(
      {
        forward(buf, start, end) {
          if (buf !== null) sent.push(Buffer.from(buf.subarray(start, end)));
          return SENT;
        },
        pauseServer: () => void (paused = true),
        resumeServer: () => void (paused = false),
        openFile: () => openSync(path, 'w+'),
        fileFailed: (error) => assert.fail(error),
        fileComplete() {
          complete = true;
          buffer.release();
        },
      },
      { memory: 64 * 1024, file: 1 << 30, keep: true, base: 0 },
    );
    const body = Buffer.from(Array.from({ length: 1_500_000 }, (_, i) => (i * 7) % 251));
    for (let at = 0; at < body.length; at += size) {
      await until(
        () => `the disk; ${at} of ${body.length} bytes came`,
        () => !paused,
      );
      const end = Math.min(at + size, body.length);
      buffer.append(body, at, end, end === body.length);
    }
    await until('the file', () => complete);
    assert.ok(readFileSync(path).equals(body));
    // What the client lags behind is read from the file.
    await until('the client', () => sent.reduce((sum, { length }) => sum + length, 0) === body.length);
    assert.ok(Buffer.concat(sent).equals(body));
    buffer.close();
  });
}

test('a client that has caught up while the disk has not is told of the end', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'headrace-test-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const sent: Buffer[] = [];
  let ended = false;
  const buffer = new AnswerBuffer(
    {
      forward(buf, start, end, last) {
        assert.ok(!ended);
        if (buf !== null) sent.push(Buffer.from(buf.subarray(start, end)));
        ended = last;
        return SENT;
      },
      pauseServer() {},
      resumeServer() {},
      openFile: () => openSync(join(directory, 'answer'), 'w+'),
      fileFailed: (error) => assert.fail(error),
    },
    { memory: 32 * 1024, file: 1 << 30, keep: false, base: 0 },
  );
  const body = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7) % 251));
  buffer.hold();
  // Too much for memory: it is being written from now on.
  buffer.append(body, 0, 150_000, false);
  buffer.drained();
  buffer.append(body, 150_000, 200_000, true);
  await until('the end', () => ended);
  assert.ok(Buffer.concat(sent).equals(body));
  buffer.close();
});

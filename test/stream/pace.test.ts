/** Rates: what passes at once, what waits, and that nothing is lost. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import test from 'node:test';
import { clock } from '../../src/net/clock.ts';
import { DatagramPacer, Pacer } from '../../src/stream/proxy/pace.ts';
import { until } from '../helpers/wait.ts';

/** A direction that keeps what is passed. */
class Sink {
  readonly passed: Buffer[] = [];
  reading = true;
  /** Takes so many more pieces before it is full. */
  room = Infinity;
  hasEnded = false;

  pass(buf: Buffer, start: number, end: number): boolean {
    this.passed.push(Buffer.from(buf.subarray(start, end)));
    return --this.room > 0;
  }
  stop(): void {
    this.reading = false;
  }
  go(): void {
    this.reading = true;
  }
  ended(): void {
    this.hasEnded = true;
  }
  get bytes(): Buffer {
    return Buffer.concat(this.passed);
  }
}

test('a stream: the rate at once, the rest later, whole and in order', async () => {
  clock.update();
  const sink = new Sink();
  const pacer = new Pacer(sink, 4000, 16384, clock.now);
  const bytes = Buffer.from(Array.from({ length: 6000 }, (_, i) => i & 255));
  pacer.push(bytes, 0, bytes.length);
  pacer.finish();
  assert.ok(sink.bytes.length >= 4000 && sink.bytes.length < 6000, `${sink.bytes.length} at once`);
  assert.equal(sink.reading, false);
  assert.equal(sink.hasEnded, false, 'not before the last byte');
  await until('the rest', () => sink.hasEnded);
  assert.ok(sink.bytes.equals(bytes));
  pacer.close();
});

test('a stream: who takes it may be slow, too', async () => {
  clock.update();
  const sink = new Sink();
  sink.room = 1;
  const pacer = new Pacer(sink, 1e9, 100, clock.now);
  pacer.push(Buffer.alloc(250, 'x'), 0, 250);
  assert.equal(sink.bytes.length, 100, 'full after the first piece');
  assert.equal(pacer.empty, false);
  sink.room = Infinity;
  pacer.resume();
  await until('the rest', () => sink.bytes.length === 250);
  assert.equal(sink.reading, true);
  pacer.close();
});

test('datagrams are not split: the one that exceeds the rate delays the next', async () => {
  clock.update();
  const passed: string[] = [];
  const pacer = new DatagramPacer(4000, clock.now, 0, (datagram) => void passed.push(String(datagram[0])));
  for (let i = 1; i <= 3; i++) pacer.push(Buffer.alloc(2000, i));
  assert.deepEqual(passed, ['1']);
  assert.equal(pacer.idle, false);
  await until('the others', () => pacer.idle);
  assert.deepEqual(passed, ['1', '2', '3']);
  pacer.close();
});

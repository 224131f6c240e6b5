/** Answers in pieces: made as they are taken, whole, and seen to be broken when they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlicedAnswer } from '../../src/admin/sliced-answer.ts';
import type { AdminReply } from '../../src/http/handlers/admin.ts';
import { until } from '../helpers/wait.ts';

const head = { status: 200, fields: [['Content-Type', 'text/plain']] as [string, string][] };
const LINE = 'x'.repeat(1023) + '\n';

interface Asked {
  answer: SlicedAnswer;
  pieces: AdminReply[];
  errors: unknown[];
  /** Steps that were made. */
  made: () => number;
}

function answering(lines: number, breaksAt = Infinity): Asked {
  let made = 0;
  const steps = function* (): Generator<string> {
    for (let i = 0; i < lines; i++) {
      if (i === breaksAt) throw new Error('broken');
      made++;
      yield LINE;
    }
  };
  const pieces: AdminReply[] = [];
  const errors: unknown[] = [];
  const answer = new SlicedAnswer(
    { head, steps: steps() },
    (piece) => pieces.push(piece),
    (error) => errors.push(error),
  );
  return { answer, pieces, errors, made: () => made };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a short one is one piece', async () => {
  const { pieces } = answering(3);
  await until('the answer', () => pieces.length > 0);
  assert.deepEqual(pieces, [{ ...head, body: LINE.repeat(3), more: false, waits: false }]);
});

test('a long one is made as it is taken', async () => {
  const { answer, pieces, made } = answering(1000);
  await until('a piece', () => pieces.length === 1);
  const first = made();
  assert.ok(first < 200, `${first} lines of 1000 in the first piece`);
  // nobody takes it: nothing is made
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(made(), first);
  assert.equal(pieces.length, 1);
  for (let i = 2; pieces.at(-1)!.more; i++) {
    assert.equal(pieces.at(-1)!.waits, true);
    answer.next();
    await until('the next piece', () => pieces.length === i);
  }
  assert.equal(pieces.map(({ body }) => body).join(''), LINE.repeat(1000));
});

test('nothing is made for those who have left', async () => {
  const { answer, pieces, made } = answering(1000);
  await until('a piece', () => pieces.length === 1);
  const before = made();
  answer.next();
  answer.leave();
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(made(), before);
  assert.equal(pieces.length, 1);
});

test('what breaks is an error, or no whole answer', async () => {
  const early = answering(1000, 5);
  await until('the end', () => early.pieces.length === 1);
  assert.deepEqual(early.pieces, [{ status: 500, fields: [], body: '', more: false, broken: false }]);
  assert.match(String(early.errors[0]), /broken/);
  const late = answering(1000, 500);
  for (let i = 1; late.errors.length === 0; i++) {
    await until('a piece', () => late.pieces.length === i);
    late.answer.next();
    await turn();
  }
  await until('the end', () => late.pieces.at(-1)!.broken === true);
});

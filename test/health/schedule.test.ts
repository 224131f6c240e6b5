/** The schedule: ticks, moves, removals, and tasks that schedule tasks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Schedule, type Task } from '../../src/health/schedule.ts';

class World {
  ms = 0;
  timer: { at: number; fire: () => void } | null = null;
  readonly ran: string[] = [];
  readonly schedule = new Schedule({
    now: () => this.ms,
    timer: (ms, fire) => {
      assert.equal(this.timer, null, 'one timer at a time');
      const timer = { at: this.ms + ms, fire };
      this.timer = timer;
      return () => {
        if (this.timer === timer) this.timer = null;
      };
    },
  });

  task(name: string, run = (): void => {}, slackMs: number | null = 0): Task {
    return {
      due: 0,
      tick: -1,
      slackMs,
      run: () => {
        this.ran.push(`${name}@${this.ms}`);
        run();
      },
    };
  }

  pass(ms: number): void {
    const end = this.ms + ms;
    while (this.timer !== null && this.timer.at <= end) {
      const { at, fire } = this.timer;
      this.ms = Math.max(this.ms, at);
      this.timer = null;
      fire();
    }
    this.ms = end;
  }
}

test('tasks of one tick run when it begins; one that moves runs once; one that is removed does not', () => {
  const w = new World();
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => w.task(name));
  w.schedule.at(a!, 59);
  w.schedule.at(b!, 41);
  w.schedule.at(c!, 45);
  w.schedule.at(d!, 500);
  w.schedule.at(c!, 100);
  w.schedule.at(d!, 5);
  w.schedule.at(d!, 105);
  w.schedule.remove(b!);
  assert.equal(w.schedule.size, 3);
  w.pass(1000);
  assert.deepEqual(w.ran, ['a@40', 'c@100', 'd@100']);
  assert.equal(w.schedule.size, 0);
  assert.equal(w.timer, null);
});

test('a task that schedules itself for now runs again in the next tick, not for ever', () => {
  const w = new World();
  const task: Task = w.task('x', () => w.schedule.at(task, w.ms));
  w.schedule.at(task, 0);
  w.pass(50);
  assert.deepEqual(w.ran, ['x@0', 'x@20', 'x@40']);
  w.schedule.close();
  w.pass(1000);
  assert.equal(w.ran.length, 3);
});

test('a thread that stood still makes up for nothing, and says how late it was', () => {
  const w = new World();
  const [near, far] = [w.task('near'), w.task('far')];
  w.schedule.at(far, 300);
  w.schedule.at(near, 100);
  w.ms = 1000;
  w.pass(0);
  assert.deepEqual(w.ran, ['near@1000', 'far@1000']);
  assert.equal(w.schedule.latest, 900);
  assert.equal(w.schedule.lateSumMs, 900 + 700);
  // one of them in the bucket up to 750 ms, one in that up to 1,000
  assert.deepEqual([...w.schedule.late].slice(7, 11), [0, 1, 1, 0]);
});

test('who may wait is not late for it, and who is not counted is not', () => {
  const w = new World();
  const tasks = [w.task('strict'), w.task('patient', undefined, 500), w.task('impatient', undefined, 499)];
  tasks.push(w.task('nobody', undefined, null));
  for (const task of tasks) w.schedule.at(task, 500);
  w.ms = 1000;
  w.pass(0);
  assert.equal(w.ran.length, 4);
  assert.equal(w.schedule.tooLate, 2);
  assert.equal(w.schedule.lateSumMs, 1500);
});

test('tasks of one tick wait for each other, and that is counted', () => {
  const w = new World();
  const slow = w.task('slow', () => void (w.ms += 30));
  for (const task of [slow, w.task('next')]) w.schedule.at(task, 100);
  w.pass(200);
  assert.deepEqual(w.ran, ['slow@100', 'next@130']);
  assert.equal(w.schedule.latest, 30);
});

test('whatever is scheduled, moved and removed: each runs once, at most a tick early and never late', () => {
  const move = fc.record({ who: fc.nat(9), due: fc.nat(2000), remove: fc.boolean(), pass: fc.nat(50) });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 100 }), (moves) => {
      const w = new World();
      const wanted = new Map<number, number>();
      const tasks = Array.from({ length: 10 }, (_, who) =>
        w.task(String(who), () => {
          const due = wanted.get(who)!;
          assert.ok(due - w.ms < 20 && w.ms <= due, `${who} due ${due} ran at ${w.ms}`);
          wanted.delete(who);
        }),
      );
      for (const { who, due, remove, pass } of moves) {
        if (remove) {
          w.schedule.remove(tasks[who]!);
          wanted.delete(who);
        } else {
          wanted.set(who, Math.max(due, w.ms));
          w.schedule.at(tasks[who]!, Math.max(due, w.ms));
        }
        assert.equal(w.schedule.size, wanted.size);
        w.pass(pass);
      }
      w.pass(3000);
      assert.equal(wanted.size, 0);
    }),
  );
});

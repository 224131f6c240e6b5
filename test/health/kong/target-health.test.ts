import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unavailable } from '../../../src/health/kong/rules.ts';
import {
  allocateHealth,
  HTTP_FAILURE,
  type HealthEvent,
  SUCCESS,
  TargetHealth,
  TCP_FAILURE,
  TIMEOUT,
} from '../../../src/health/kong/target-health.ts';

const LIMITS = { successes: 2, httpFailures: 3, tcpFailures: 2, timeouts: 1 };

/** Reports in a row; what the last one says. */
function run(health: TargetHealth, events: readonly HealthEvent[], limits = LIMITS): string {
  let last = '';
  for (const event of events) last = health.report(0, 1, event, limits);
  return last;
}

test('limits by kind of event; successes forgive, and bring back', () => {
  const cases: [HealthEvent[], string][] = [
    [[TIMEOUT], 'unhealthy'],
    [[TCP_FAILURE], 'unchanged'],
    [[TCP_FAILURE, TCP_FAILURE], 'unhealthy'],
    [[HTTP_FAILURE, HTTP_FAILURE, TCP_FAILURE], 'unchanged'],
    [[HTTP_FAILURE, HTTP_FAILURE, HTTP_FAILURE], 'unhealthy'],
    [[HTTP_FAILURE, HTTP_FAILURE, SUCCESS, HTTP_FAILURE, HTTP_FAILURE], 'unchanged'],
    [[TIMEOUT, SUCCESS], 'unchanged'],
    [[TIMEOUT, SUCCESS, SUCCESS], 'healthy'],
    [[TIMEOUT, SUCCESS, TIMEOUT, SUCCESS], 'unchanged'],
    [[TIMEOUT, TIMEOUT], 'unchanged'],
  ];
  for (const [events, verdict] of cases) {
    assert.equal(run(new TargetHealth(allocateHealth(1)), events), verdict, JSON.stringify(events));
  }
});

test('a limit of 0 switches its events off', () => {
  const health = new TargetHealth(allocateHealth(1));
  const off = { successes: 0, httpFailures: 2, tcpFailures: 0, timeouts: 0 };
  assert.equal(run(health, [TCP_FAILURE, TIMEOUT, TCP_FAILURE, TIMEOUT], off), 'unchanged');
  assert.equal(run(health, [HTTP_FAILURE, SUCCESS, HTTP_FAILURE], off), 'unhealthy');
});

test('by hand: counters begin anew; another peer in the slot knows nothing', () => {
  const health = new TargetHealth(allocateHealth(2));
  run(health, [HTTP_FAILURE, HTTP_FAILURE]);
  health.set(0, 1, true);
  assert.equal(run(health, [HTTP_FAILURE, HTTP_FAILURE]), 'unchanged');
  health.set(0, 1, false);
  assert.equal(health.unhealthy(0, 1), true);
  assert.equal(health.unhealthy(0, 2), false);
  assert.equal(health.report(0, 2, TIMEOUT, LIMITS), 'unhealthy');
});

test('threshold: more than that share has to be healthy, at 100 all of it', () => {
  const healthy = (of5: number, threshold: number): boolean =>
    unavailable({ total: 500, available: of5 * 100 }, threshold, 5) === null;
  const table: [number, number[]][] = [
    [0, [1, 2, 3, 4, 5]],
    [20, [2, 3, 4, 5]],
    [60, [4, 5]],
    [99, [5]],
    [100, [5]],
  ];
  for (const [threshold, counts] of table) {
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5].filter((n) => healthy(n, threshold)),
      counts,
      String(threshold),
    );
  }
  assert.equal(unavailable({ total: 0, available: 0 }, 0, 0), 'no targets');
});

/** Every vector of spec/lb-vectors.json: made by a reference of its own and checked against a live nginx. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { describe, it } from 'node:test';
import { buildRing, findPoint } from '../../src/upstream/balancers/ring.ts';
import { crc32 } from '../../src/upstream/crc32.ts';
import { Attempt, type AttemptKeys } from '../../src/upstream/group.ts';
import { sidOf } from '../../src/upstream/table/text.ts';
import { OK, rig, RR, upstream, weighted, type Rig } from './fixtures.ts';

interface Vectors {
  crc32: Record<string, number>;
  rr: Record<string, number[]>;
  hash_3peers_w1: Record<string, number[]>;
  hash_2peers_w1: Record<string, number[]>;
  hash_3peers_w1_2_3: Record<string, number[]>;
  ip_hash_2: Record<string, [number, number][]>;
  ip_hash_3: Record<string, [number, number][]>;
  ip_hash_3w: Record<string, [number, number][]>;
  ip_hash_test_t: Record<string, number[]>;
  chash_points: Record<string, number> & { first5_3x1: [number, string][]; last2_3x1: [number, string][] };
  chash_3x1: Record<string, string[]>;
  chash_2x1: Record<string, string>;
  chash_1_1_10: Record<string, string>;
  chash_unix: Record<string, string>;
  chash_unix_ring_first5: [number, string][];
  sticky_md5: Record<string, string>;
}

const vectors = JSON.parse(readFileSync(new URL('lb-vectors.json', import.meta.url), 'utf8')) as Vectors;

/** Slots in the order in which one request meets them, each failing over to the next. */
function journey(r: Rig, keys: AttemptKeys): number[] {
  const a = new Attempt();
  r.group.begin(a, keys, 0);
  const met: number[] = [];
  for (let slot = r.group.pick(a); slot >= 0; slot = r.group.pick(a)) {
    met.push(slot);
    r.group.done(a, OK);
  }
  return met;
}

/** What is left of a sequence of candidates when each can be had once. */
const distinct = (candidates: number[]): number[] => [...new Set(candidates)];

describe('vectors', () => {
  it('crc32', () => {
    for (const [text, sum] of Object.entries(vectors.crc32)) assert.equal(crc32(text), sum);
  });

  it('round robin', () => {
    for (const [weights, sequence] of Object.entries(vectors.rr)) {
      const r = rig(upstream(RR, weighted(JSON.parse(weights) as number[])));
      assert.deepEqual(
        sequence.map(() => r.serve()),
        sequence,
      );
    }
  });

  for (const [name, weights] of [
    ['hash_3peers_w1', [1, 1, 1]],
    ['hash_2peers_w1', [1, 1]],
    ['hash_3peers_w1_2_3', [1, 2, 3]],
  ] as const) {
    it(name, () => {
      for (const [hashKey, candidates] of Object.entries(vectors[name])) {
        const r = rig(upstream({ kind: 'hash', key: '$k', consistent: false }, weighted([...weights])));
        const expected = distinct(candidates);
        assert.deepEqual(journey(r, { hashKey }).slice(0, expected.length), expected, hashKey);
      }
    });
  }

  for (const [name, weights] of [
    ['ip_hash_2', [1, 1]],
    ['ip_hash_3', [1, 1, 1]],
    ['ip_hash_3w', [1, 2, 3]],
  ] as const) {
    it(name, () => {
      for (const [text, rounds] of Object.entries(vectors[name])) {
        const r = rig(upstream({ kind: 'ip_hash' }, weighted([...weights])));
        const expected = distinct(rounds.map(([, peer]) => peer));
        const met = journey(r, { clientAddress: bytesOf(text) });
        assert.deepEqual(met.slice(0, expected.length), expected, text);
      }
    });
  }

  it('ip_hash over 127.0.1.2 to 127.0.30.2', () => {
    for (const [peers, shares] of Object.entries(vectors.ip_hash_test_t)) {
      const r = rig(upstream({ kind: 'ip_hash' }, weighted(Array<number>(Number(peers)).fill(1))));
      const counts = shares.map(() => 0);
      for (let i = 1; i <= 30; i++) counts[r.serve({ clientAddress: bytesOf(`127.0.${i}.2`) })]!++;
      assert.deepEqual(counts, shares);
    }
  });

  it('ring of consistent hash', () => {
    const names = ['127.0.0.1:8081', '127.0.0.1:8082', '127.0.0.1:8083'];
    const of = (weights: number[]) => buildRing(weights.map((weight, i) => ({ server: names[i]!, weight })));
    assert.equal(of([1, 1, 1]).points.length, vectors.chash_points['3x1']);
    assert.equal(of([1, 1]).points.length, vectors.chash_points['2x1']);
    assert.equal(of([1, 1, 10]).points.length, vectors.chash_points['1,1,10']);
    const ring = of([1, 1, 1]);
    const pairs = [...ring.points].map((point, i) => [point, names[ring.owner[i]!]]);
    assert.deepEqual(pairs.slice(0, 5), vectors.chash_points.first5_3x1);
    assert.deepEqual(pairs.slice(-2), vectors.chash_points.last2_3x1);
    const odd = ['unix:/tmp/a.sock', '[::1]:8080', 'backend.example.com'];
    const other = buildRing(odd.map((server, i) => ({ server, weight: i === 1 ? 2 : 1 })));
    assert.deepEqual(
      [...other.points].slice(0, 5).map((p, i) => [p, odd[other.owner[i]!]]),
      vectors.chash_unix_ring_first5,
    );
    for (const [key, server] of Object.entries(vectors.chash_unix)) {
      assert.equal(odd[other.owner[findPoint(other, crc32(key)) % other.points.length]!], server);
    }
  });

  it('consistent hash', () => {
    const consistent = { kind: 'hash', key: '$k', consistent: true } as const;
    const first = (servers: { server: string; weight?: number }[], hashKey: string): string => {
      const r = rig(upstream(consistent, servers));
      return r.group.peer(r.serve({ hashKey })).server;
    };
    for (const [key, points] of Object.entries(vectors.chash_3x1)) {
      const r = rig(upstream(consistent, weighted([1, 1, 1])));
      const met = journey(r, { hashKey: key }).map((slot) => r.group.peer(slot).server);
      const expected = [...new Set(points)];
      assert.deepEqual(met.slice(0, expected.length), expected);
    }
    for (const [key, server] of Object.entries(vectors.chash_2x1)) {
      assert.equal(first([{ server: '127.0.0.1:8081' }, { server: '127.0.0.1:8083' }], key), server);
    }
    for (const [key, server] of Object.entries(vectors.chash_1_1_10)) {
      assert.equal(first(weighted([1, 1, 10]), key), server);
    }
  });

  it('sids', () => {
    for (const [address, sid] of Object.entries(vectors.sticky_md5)) assert.equal(sidOf(null, address), sid);
  });
});

function bytesOf(text: string): Uint8Array {
  if (text === 'unix:') return new Uint8Array(0);
  if (!isIPv6(text)) return Uint8Array.from(text.split('.').map(Number));
  const [head, tail = ''] = text.split('::');
  const left = head === '' ? [] : head!.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(8 - left.length - right.length).fill('0');
  return Uint8Array.from([...left, ...zeros, ...right].flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]));
}

/**
 * The ring of consistent hashing: ketama as Cache::Memcached::Fast and nginx build it (spec 2.6).
 *
 * 160 points to a unit of weight, from the server as written in the configuration, so that a name keeps its points
 * whatever it resolves to.
 */
import { CRC_START, crcEnd, crcText, crcUint32 } from '../crc32.ts';

const POINTS = 160;

/** What the ring is built from: one entry for each server text, in order of first appearance. */
export interface RingServer {
  server: string;
  weight: number;
}

export interface Ring {
  /** Ascending, distinct. */
  points: Uint32Array;
  /** Index of the server that owns a point. */
  owner: Uint32Array;
}

/** Host and port as the points see them: `unix:` is cut off, a port is what digits follow the last colon. */
export function ringKey(server: string): { host: string; port: string } {
  if (/^unix:/i.test(server)) return { host: server.slice(5), port: '' };
  const parts = /^(.*):(\d*)$/s.exec(server);
  return parts ? { host: parts[1]!, port: parts[2]! } : { host: server, port: '' };
}

/** Builds the ring. O(p log p) over p points: 10,000 servers take some 200 ms, so never under a lock. */
export function buildRing(servers: readonly RingServer[]): Ring {
  let count = 0;
  for (const { weight } of servers) count += weight * POINTS;
  // hash and owner in one number of 53 bits: one native sort, stable in the order of servers
  const keys = new Float64Array(count);
  const scale = 2 ** 21;
  let n = 0;
  servers.forEach(({ server, weight }, i) => {
    const { host, port } = ringKey(server);
    const base = crcText(crcText(crcText(CRC_START, host), '\0'), port);
    let previous = 0;
    for (let k = 0; k < weight * POINTS; k++) {
      previous = crcEnd(crcUint32(base, previous));
      keys[n++] = previous * scale + i;
    }
  });
  keys.sort();
  const points = new Uint32Array(count);
  const owner = new Uint32Array(count);
  let size = 0;
  for (let k = 0; k < count; k++) {
    const point = Math.floor(keys[k]! / scale);
    if (size > 0 && points[size - 1] === point) continue;
    points[size] = point;
    owner[size++] = keys[k]! - point * scale;
  }
  return { points: points.slice(0, size), owner: owner.slice(0, size) };
}

/** Index of the first point at or after a hash; the number of points when there is none. @param points ascending */
export function findPoint({ points }: { points: Uint32Array }, hash: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (points[mid]! < hash) low = mid + 1;
    else high = mid;
  }
  return low;
}

/**
 * nginx's algorithms written the plain way: scan everything, keep everything in objects, no shared memory, no index.
 * What the real ones are compared with. Follows spec/nginx.md section 2, not the code under test.
 */
import { crc32 } from 'node:zlib';
import type { UpstreamConfig } from '../../src/config/model.ts';
import type { AttemptKeys, Outcome } from '../../src/upstream/group.ts';

export interface RefPeer {
  index: number;
  server: string;
  sid: string;
  weight: number;
  effective: number;
  current: number;
  conns: number;
  maxConns: number;
  fails: number;
  maxFails: number;
  failTimeout: number;
  checked: number;
  accessed: number;
  down: number;
  header: number;
  response: number;
  inflight: number;
  inflightReqs: number;
  inflightLast: number;
  inflightChanged: number;
}

export interface RefAttempt {
  list: RefPeer[];
  tried: Set<RefPeer>;
  tries: number;
  keys: AttemptKeys;
  hash: number;
  rehash: number;
  misses: number;
  peer: RefPeer | null;
  flying: boolean;
}

export class Reference {
  primary: RefPeer[] = [];
  backup: RefPeer[] = [];
  ring: { at: number; server: string }[] | null = null;
  nowMs: () => number;
  random: () => number;
  config: UpstreamConfig;

  constructor(config: UpstreamConfig, sids: string[], nowMs: () => number, random: () => number) {
    this.config = config;
    this.nowMs = nowMs;
    this.random = random;
    config.servers.forEach((s, index) => {
      (s.backup ? this.backup : this.primary).push({
        index,
        server: s.server,
        sid: sids[index]!,
        weight: s.weight,
        effective: s.weight,
        current: 0,
        conns: 0,
        maxConns: s.maxConns,
        fails: 0,
        maxFails: s.maxFails,
        failTimeout: s.failTimeoutSec,
        checked: 0,
        accessed: 0,
        down: (s.down ? 1 : 0) | (s.drain ? 8 : 0),
        header: 0,
        response: 0,
        inflight: 0,
        inflightReqs: 0,
        inflightLast: 0,
        inflightChanged: 0,
      });
    });
  }

  get now(): number {
    return Math.floor(this.nowMs() / 1000);
  }

  get single(): boolean {
    return this.primary.length === 1 && this.backup.length === 0;
  }

  begin(keys: AttemptKeys, maxTries: number): RefAttempt {
    const tries = [...this.primary, ...this.backup].filter((p) => p.down === 0).length;
    return {
      list: this.primary,
      tried: new Set(),
      tries: maxTries > 0 && tries > maxTries ? maxTries : tries,
      keys,
      hash: 0,
      rehash: 0,
      misses: 0,
      peer: null,
      flying: false,
    };
  }

  blocked(p: RefPeer): boolean {
    return p.maxFails > 0 && p.fails >= p.maxFails && this.now - p.checked <= p.failTimeout;
  }

  full(p: RefPeer): boolean {
    return p.maxConns > 0 && p.conns >= p.maxConns;
  }

  usable(a: RefAttempt, p: RefPeer): boolean {
    return !a.tried.has(p) && p.down === 0 && !this.blocked(p) && !this.full(p);
  }

  bound(a: RefAttempt): RefPeer | null {
    if (!a.keys.stickySid) return null;
    const p = a.list.find((q) => q.sid === a.keys.stickySid);
    if (!p || a.tried.has(p) || (p.down & ~8) !== 0 || this.blocked(p) || this.full(p)) return null;
    return p;
  }

  pick(a: RefAttempt): RefPeer | null {
    const kind = this.config.balancer.kind;
    let got: RefPeer | null;
    if (kind === 'least_conn')
      got = this.single
        ? this.rr(a)
        : this.least(
            a,
            () => {},
            (p) => p.conns,
          );
    else if (kind === 'least_time') got = this.single ? this.rr(a) : this.leastTime(a);
    else if (kind === 'hash') got = this.config.balancer.consistent ? this.chash(a) : this.hash(a);
    else if (kind === 'ip_hash') got = this.ipHash(a);
    else if (kind === 'random') got = this.randomly(a);
    else got = this.rr(a);
    a.peer = got;
    if (got) got.conns++;
    return got;
  }

  mark(a: RefAttempt, p: RefPeer): RefPeer {
    a.tried.add(p);
    if (this.now - p.checked > p.failTimeout) p.checked = this.now;
    return p;
  }

  toBackup(a: RefAttempt): boolean {
    if (a.list === this.backup || this.backup.length === 0) return false;
    a.list = this.backup;
    a.tried = new Set();
    return true;
  }

  rr(a: RefAttempt): RefPeer | null {
    if (this.single) {
      const p = this.bound(a) ?? this.primary[0]!;
      if (p === this.bound(a)) return p;
      return p.down !== 0 || this.full(p) ? null : p;
    }
    const p = this.rrPeer(a);
    if (p) return p;
    return this.toBackup(a) ? this.rr(a) : null;
  }

  step(peers: RefPeer[], payer: RefPeer | null): RefPeer | null {
    let best: RefPeer | null = null;
    let total = 0;
    for (const p of peers) {
      p.current += p.effective;
      total += p.effective;
      if (p.effective < p.weight) p.effective++;
      if (!best || p.current > best.current) best = p;
    }
    if (payer) best = payer;
    if (best) best.current -= total;
    return best;
  }

  rrPeer(a: RefAttempt): RefPeer | null {
    const bound = this.bound(a);
    if (bound) {
      const total = a.list.reduce((n, p) => n + p.weight, 0);
      if (bound.current <= -(total - bound.weight)) return this.mark(a, bound);
    }
    const best = this.step(
      a.list.filter((p) => this.usable(a, p)),
      bound,
    );
    return best && this.mark(a, best);
  }

  least(a: RefAttempt, before: (p: RefPeer) => void, load: (p: RefPeer) => number): RefPeer | null {
    let best: RefPeer | null = this.bound(a);
    if (!best) {
      let many: RefPeer[] = [];
      for (const p of a.list) {
        if (!this.usable(a, p)) continue;
        before(p);
        if (!best || load(p) * best.weight < load(best) * p.weight) {
          best = p;
          many = [p];
        } else if (load(p) * best.weight === load(best) * p.weight) many.push(p);
      }
      if (many.length > 1) best = this.step(many, null);
    }
    if (!best) return this.toBackup(a) ? this.least(a, before, load) : null;
    const { balancer } = this.config;
    if (balancer.kind === 'least_time' && balancer.inflight) {
      const now = this.nowMs();
      if (best.inflightReqs > 0) best.inflightLast += (now - best.inflightChanged) * best.inflightReqs;
      best.inflightChanged = now;
      best.inflightReqs++;
      a.flying = true;
    }
    return this.mark(a, best);
  }

  static average(average: number, sample: number): number {
    return average === 0 ? sample : Math.floor(0.5 + (sample * 0.05 + average * 0.95));
  }

  eta(p: RefPeer, mode: string): number {
    let rt = mode === 'header' || mode === 'first_byte' ? p.header : p.response;
    const idle = this.now - p.checked;
    if (idle > p.failTimeout)
      for (let k = Math.floor(idle / (p.failTimeout + 1)); k > 0 && rt > 0; k--) rt = Math.floor(rt / 2);
    if (p.inflightReqs > 0) rt = Math.max(rt, p.inflight);
    rt = rt > 5000 ? 5000 : rt + 20 - (rt % 20);
    return rt * (1 + p.conns);
  }

  leastTime(a: RefAttempt): RefPeer | null {
    const { balancer } = this.config;
    if (balancer.kind !== 'least_time') throw new Error();
    const before = (p: RefPeer): void => {
      if (p.inflightReqs === 0) return;
      const elapsed = Math.floor(p.inflightLast / p.inflightReqs) + (this.nowMs() - p.inflightChanged);
      p.inflight = Reference.average(p.inflight, elapsed);
    };
    return this.least(a, before, (p) => this.eta(p, balancer.mode));
  }

  landed(a: RefAttempt, ms: number): void {
    const p = a.peer!;
    if (p.inflightReqs === 1) p.inflightLast = 0;
    else {
      p.inflightLast += (this.nowMs() - p.inflightChanged) * p.inflightReqs - ms;
      p.inflightChanged = this.nowMs();
    }
    p.inflightReqs--;
    a.flying = false;
  }

  header(a: RefAttempt, ms: number): void {
    const { balancer } = this.config;
    if (!a.flying || balancer.kind !== 'least_time' || balancer.mode !== 'header') return;
    a.peer!.header = Reference.average(a.peer!.header, ms);
    this.landed(a, ms);
  }

  walk(list: RefPeer[], point: number): RefPeer {
    let left = point;
    for (const p of list) {
      if (left < p.weight) return p;
      left -= p.weight;
    }
    throw new Error('beyond the list');
  }

  total(list: RefPeer[]): number {
    return list.reduce((n, p) => n + p.weight, 0);
  }

  hash(a: RefAttempt): RefPeer | null {
    const key = a.keys.hashKey ?? '';
    if (a.misses > 20 || a.list.length < 2 || key === '') return this.rr(a);
    const bound = this.bound(a);
    if (bound) return this.mark(a, bound);
    for (;;) {
      const h = (crc32((a.rehash > 0 ? String(a.rehash) : '') + key) >>> 16) & 0x7fff;
      a.hash = (a.hash + h) >>> 0;
      a.rehash++;
      const p = this.walk(a.list, a.hash % this.total(a.list));
      if (this.usable(a, p)) return this.mark(a, p);
      if (++a.misses > 20) return this.rr(a);
    }
  }

  ipHash(a: RefAttempt): RefPeer | null {
    if (a.misses > 20 || a.list.length < 2) return this.rr(a);
    const bound = this.bound(a);
    if (bound) return this.mark(a, bound);
    const given = a.keys.clientAddress ?? new Uint8Array(0);
    const bytes = given.length === 16 ? [...given] : given.length === 4 ? [...given.subarray(0, 3)] : [0, 0, 0];
    let h = a.hash === 0 ? 89 : a.hash;
    for (;;) {
      for (const b of bytes) h = (h * 113 + b) % 6271;
      const p = this.walk(a.list, h % this.total(a.list));
      if (this.usable(a, p)) {
        a.hash = h;
        return this.mark(a, p);
      }
      if (++a.misses > 20) return this.rr(a);
    }
  }

  points(): { at: number; server: string }[] {
    const points: { at: number; server: string }[] = [];
    for (const p of this.primary) {
      const unix = /^unix:(.*)$/i.exec(p.server);
      const port = /^(.*):(\d*)$/.exec(p.server);
      const text = unix ? `${unix[1]}\0` : port ? `${port[1]}\0${port[2]}` : `${p.server}\0`;
      let previous = Buffer.alloc(4);
      for (let k = 0; k < 160 * p.weight; k++) {
        const at = crc32(Buffer.concat([Buffer.from(text), previous]));
        points.push({ at, server: p.server });
        previous = Buffer.alloc(4);
        previous.writeUInt32LE(at);
      }
    }
    points.sort((x, y) => x.at - y.at);
    return points.filter((p, i) => i === 0 || p.at !== points[i - 1]!.at);
  }

  chash(a: RefAttempt): RefPeer | null {
    const key = a.keys.hashKey ?? '';
    if (a.misses > 20 || this.single || key === '') return this.rr(a);
    const bound = this.bound(a);
    if (bound) return this.mark(a, bound);
    const ring = (this.ring ??= this.points());
    let start = ring.findIndex((p) => p.at >= crc32(key));
    if (start < 0) start = ring.length;
    for (;;) {
      const { server } = ring[(start + a.rehash) % ring.length]!;
      const best = this.step(
        a.list.filter((p) => p.server === server && this.usable(a, p)),
        null,
      );
      if (best) return this.mark(a, best);
      a.rehash++;
      if (++a.misses > 20) return this.rr(a);
    }
  }

  randomly(a: RefAttempt): RefPeer | null {
    const { balancer } = this.config;
    if (balancer.kind !== 'random') throw new Error();
    if (a.misses > 20 || a.list.length < 2) return this.rr(a);
    const bound = this.bound(a);
    if (bound) return this.mark(a, bound);
    let first: RefPeer | null = null;
    for (;;) {
      const p = this.walk(a.list, Math.floor(this.random() * this.total(a.list)));
      if (p !== first && this.usable(a, p)) {
        if (!balancer.two) return this.mark(a, p);
        if (first) return this.mark(a, p.conns * first.weight > first.conns * p.weight ? first : p);
        first = p;
      }
      if (++a.misses > 20) return this.rr(a);
    }
  }

  done(a: RefAttempt, o: Outcome): boolean {
    const p = a.peer!;
    const { balancer } = this.config;
    if (a.flying) this.landed(a, o.responseMs);
    if (!o.failed && !o.next && o.hadHeader) {
      p.response = Reference.average(p.response, o.responseMs);
      if (!(balancer.kind === 'least_time' && balancer.inflight && balancer.mode === 'header')) {
        p.header = Reference.average(p.header, o.headerMs);
      }
    }
    p.conns--;
    a.peer = null;
    if (a.list === this.primary && this.single) {
      p.fails = 0;
      a.tries = 0;
      return false;
    }
    let disabled = false;
    if (o.failed) {
      p.fails++;
      p.accessed = this.now;
      p.checked = this.now;
      if (p.maxFails > 0) {
        p.effective = Math.max(0, p.effective - Math.floor(p.weight / p.maxFails));
        disabled = p.fails >= p.maxFails;
      }
    } else if (p.accessed < p.checked) p.fails = 0;
    if (a.tries > 0) a.tries--;
    return disabled;
  }
}

/**
 * A name server for tests: UDP and TCP on one free port, answers by a function. And a clock that is run by hand.
 */
import dgram from 'node:dgram';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import packet from 'dns-packet';
import type { Answer } from 'dns-packet';
import type { ResolverConfig } from '../../src/config/model.ts';
import type { Clock, Timers } from '../../src/discovery/types.ts';

export interface TestQuery {
  id: number;
  name: string;
  type: string;
  tcp: boolean;
  /** How often this name and type have been asked for, this time included. */
  count: number;
  raw: Buffer;
}

export interface TestReply {
  rcode?: number;
  answers?: Answer[];
  truncated?: boolean;
  /** Instead of the query's. */
  id?: number;
  question?: { name: string; type: string; class?: string } | null;
  flags?: number;
  /** Sent as it is, instead of all the above. */
  raw?: Buffer;
}

/** Out: what to answer; null: nothing; several: one message each. */
export type Handler = (query: TestQuery) => TestReply | TestReply[] | null | Promise<TestReply | TestReply[] | null>;

export class TestDns {
  handler: Handler;
  readonly queries: TestQuery[] = [];
  port = 0;
  readonly #udp = dgram.createSocket('udp4');
  readonly #tcp: net.Server;
  readonly #connections = new Set<net.Socket>();
  readonly #counts = new Map<string, number>();

  constructor(handler: Handler) {
    this.handler = handler;
    this.#udp.on('message', (message, from) => {
      void this.#answer(message, false).then((replies) => {
        replies.forEach((reply) => this.#udp.send(reply, from.port, from.address));
      });
    });
    this.#tcp = net.createServer((socket) => this.#serve(socket));
  }

  /** In: whether TCP is served too; the port, 0 for a free one. Out: itself, listening. */
  async start(tcp = true, port = 0): Promise<this> {
    // The port must be free for both; another process may hold it for TCP.
    for (let attempt = 0; ; attempt++) {
      const probe = await listen(this.#tcp, port);
      try {
        await new Promise<void>((done, fail) => {
          this.#udp.once('error', fail);
          this.#udp.bind(probe, '127.0.0.1', () => {
            this.#udp.removeListener('error', fail);
            done();
          });
        });
        this.port = probe;
        break;
      } catch (error) {
        this.#tcp.close();
        if (attempt > 20) {
          throw error;
        }
      }
    }
    if (!tcp) {
      this.#tcp.close();
    }
    return this;
  }

  /** Names and types asked for, in order: `A example.com`. */
  get asked(): string[] {
    return this.queries.map(({ type, name }) => `${type} ${name}`);
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  async stop(): Promise<void> {
    this.#connections.forEach((socket) => socket.destroy());
    if (this.#tcp.listening) {
      await new Promise((done) => this.#tcp.close(done));
    }
    await new Promise<void>((done) => this.#udp.close(() => done()));
  }

  #serve(socket: net.Socket): void {
    this.#connections.add(socket);
    let input = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      input = Buffer.concat([input, chunk]);
      while (input.length >= 2 && input.length >= 2 + input.readUInt16BE(0)) {
        const end = 2 + input.readUInt16BE(0);
        void this.#answer(Buffer.from(input.subarray(2, end)), true).then((replies) => {
          for (const reply of replies) {
            const prefix = Buffer.alloc(2);
            prefix.writeUInt16BE(reply.length);
            // In two pieces: a reader must put frames together.
            socket.write(Buffer.concat([prefix, reply.subarray(0, 5)]));
            socket.write(reply.subarray(5));
          }
        });
        input = input.subarray(end);
      }
    });
  }

  async #answer(raw: Buffer, tcp: boolean): Promise<Buffer[]> {
    const question = readQuestion(raw);
    const key = `${question.type} ${question.name}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    const query = { id: raw.readUInt16BE(0), name: question.name, type: question.type, tcp, count, raw };
    this.queries.push(query);
    const result = await this.handler(query);
    const replies = result === null ? [] : Array.isArray(result) ? result : [result];
    return replies.map((reply) => encodeReply(query, reply));
  }
}

/** Not by the library, which knows no names over 254 octets. */
function readQuestion(raw: Buffer): { name: string; type: string } {
  const labels: string[] = [];
  let at = 12;
  for (let length = raw[at] ?? 0; length > 0; length = raw[at] ?? 0) {
    labels.push(raw.toString('utf8', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const types: Record<number, string> = { 1: 'A', 28: 'AAAA', 33: 'SRV' };
  return { name: labels.join('.'), type: types[raw.readUInt16BE(at + 1)] ?? '?' };
}

function listen(server: net.Server, port: number): Promise<number> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', fail);
      const address = server.address();
      done(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

export function encodeReply(query: TestQuery, reply: TestReply): Buffer {
  if (reply.raw) {
    return reply.raw;
  }
  const flags = reply.flags ?? 0x0180 | (reply.rcode ?? 0) | (reply.truncated ? 0x0200 : 0);
  const question = reply.question === undefined ? { name: query.name, type: query.type } : reply.question;
  return packet.encode({
    type: 'response',
    id: reply.id ?? query.id,
    flags,
    questions: question === null ? [] : [question as packet.Question],
    answers: reply.answers ?? [],
  });
}

export function a(name: string, data: string, ttl = 3600): Answer {
  return { type: 'A', class: 'IN', name, data, ttl };
}

export function aaaa(name: string, data: string, ttl = 3600): Answer {
  return { type: 'AAAA', class: 'IN', name, data, ttl };
}

export function cname(name: string, data: string, ttl = 3600): Answer {
  return { type: 'CNAME', class: 'IN', name, data, ttl };
}

export function srv(name: string, text: string, ttl = 3600): Answer {
  const [priority, weight, port, target] = text.split(' ');
  const data = { priority: Number(priority), weight: Number(weight), port: Number(port), target: target ?? '' };
  return { type: 'SRV', class: 'IN', name, data, ttl };
}

/** A clock and timers that stand still until told otherwise. */
export class FakeTime implements Clock, Timers {
  #nowMs = 1_000_000;
  #timers: { atMs: number; run: () => void }[] = [];

  ms(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Timers that wait, as delays from now, ms. */
  get delays(): number[] {
    return this.#timers.map(({ atMs }) => atMs - this.#nowMs).sort((one, two) => one - two);
  }

  /** Runs the timers that are due, in order, each at its own time. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= end).sort((one, two) => one.atMs - two.atMs)[0];
      if (due === undefined) {
        break;
      }
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.run();
    }
    this.#nowMs = end;
  }
}

/** Waits until `condition` holds; fails after 10 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error(`waited in vain: ${what}`);
    }
    await sleep(2);
  }
}

/** Lets datagrams that are under way arrive; only for showing that nothing happens. */
export function settle(): Promise<void> {
  return sleep(40);
}

export function config(...servers: TestDns[]): ResolverConfig {
  return {
    addresses: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    validMs: null,
    ipv4: true,
    ipv6: true,
    statusZone: null,
  };
}

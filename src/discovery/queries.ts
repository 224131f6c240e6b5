/**
 * Queries under way: sending, sending again, taking answers in. What was learnt goes to the resolver, which keeps it.
 */
import { getSystemErrorMessage } from 'node:util';
import type { ResolverConfig } from '../config/model.ts';
import { BadMessage, encodeQuery, readAnswers, readHead, readName, TYPE_A, TYPE_AAAA, TYPE_SRV } from './message.ts';
import type { AnswerHead, AnswerSection, QueryType, SrvTarget } from './message.ts';
import { NameServer } from './name-server.ts';
import { failureText, isFailureCode } from './types.ts';
import type { Clock, Failure, FailureCode, Log, ResolvedAddress, Timers } from './types.ts';

/** Unanswered queries go to the next name server after this time. */
const RESEND_MS = 5000;

const SERVICE_TYPES: QueryType[] = [TYPE_SRV];

/** Someone who waits for a name. */
export interface Waiter {
  service: boolean;
  /** CNAMEs followed so far. */
  depth: number;
  /** Lowest over the answers used so far. */
  validUntilMs: number;
  ttlSec: number;
  /** The query waited for. */
  entry: Entry | null;
  /** Calls off the timeout. */
  stop: (() => void) | null;
  done(waiter: Waiter, answer: Entry | Failure): void;
}

interface Query {
  type: QueryType;
  id: number;
  message: Buffer;
  /** The answer over UDP was cut off. */
  tcp: boolean;
  answered: boolean;
}

/** A name that is being asked for, and later what was answered. */
export interface Entry {
  key: string;
  service: boolean;
  waiting: Set<Waiter>;
  v4: ResolvedAddress[];
  v6: ResolvedAddress[];
  /** By priority ascending. */
  targets: SrvTarget[];
  /** Set when there was nothing but a CNAME. */
  cname: string | null;
  ttlSec: number;
  /** Set by the resolver. */
  validUntilMs: number;
  usedMs: number;
  asked: Asked | null;
}

/** What is needed only until the answer is there. */
interface Asked {
  queries: Query[];
  /** Code of the first answer of the two when it was an error, else 0. */
  code: number;
  /** Index of the name server asked last. */
  server: number;
  /** All that were asked: only they may answer. */
  servers: Set<number>;
  /** Was moved to the next name server because of a socket error; done once between two resends. */
  moved: boolean;
  stop: () => void;
}

export interface QueryTableEnv {
  clock: Clock;
  timers: Timers;
  log: Log;
  randomId: () => number;
  maxPending: number;
  /** `entry` has addresses, targets or a CNAME. `waiting`: who waited, already taken off the entry. */
  onAnswer(entry: Entry, waiting: Waiter[]): void;
  onFailure(entry: Entry, code: FailureCode, waiting: Waiter[]): void;
}

export class QueryTable {
  readonly #env: QueryTableEnv;
  readonly #types: QueryType[];
  readonly #servers: NameServer[];
  readonly #names = new Map<string, Entry>();
  readonly #services = new Map<string, Entry>();
  #turn = 0;
  #fullLoggedMs = -Infinity;

  constructor(config: ResolverConfig, env: QueryTableEnv) {
    this.#env = env;
    this.#types = [];
    if (config.ipv4) {
      this.#types.push(TYPE_A);
    }
    if (config.ipv6) {
      this.#types.push(TYPE_AAAA);
    }
    const events = {
      onMessage: (server: NameServer, message: Buffer, tcp: boolean) => this.#onMessage(server, message, tcp),
      onFailure: (server: NameServer, call: string, error: NodeJS.ErrnoException) =>
        this.#onSocketError(server, call, error),
    };
    this.#servers = config.addresses.map(({ host, port }) => new NameServer(host, port, events, env.timers));
    if (this.#servers.length === 0) {
      throw new Error('no name servers defined');
    }
  }

  get size(): number {
    return this.#names.size + this.#services.size;
  }

  /** Lets a waiter wait for a normalized name: joins the query under way, or starts one. */
  ask(key: string, waiter: Waiter): 'joined' | 'started' | 'full' {
    const table = waiter.service ? this.#services : this.#names;
    const known = table.get(key);
    if (known !== undefined) {
      known.waiting.add(waiter);
      waiter.entry = known;
      return 'joined';
    }
    if (this.size >= this.#env.maxPending) {
      const nowMs = this.#env.clock.ms();
      if (nowMs - this.#fullLoggedMs >= 1000) {
        this.#fullLoggedMs = nowMs;
        this.#env.log('error', `too many names are being resolved (${this.size}), ${key} is not`);
      }
      return 'full';
    }
    const asked: Asked = {
      queries: (waiter.service ? SERVICE_TYPES : this.#types).map((type) => this.#query(key, type)),
      code: 0,
      server: this.#turn,
      servers: new Set(),
      moved: false,
      stop: () => {},
    };
    this.#turn = (this.#turn + 1) % this.#servers.length;
    const entry: Entry = {
      key,
      service: waiter.service,
      waiting: new Set([waiter]),
      v4: [],
      v6: [],
      targets: [],
      cname: null,
      ttlSec: Infinity,
      validUntilMs: 0,
      usedMs: 0,
      asked,
    };
    waiter.entry = entry;
    table.set(key, entry);
    this.#send(asked);
    this.#armResend(entry, asked);
    return 'started';
  }

  /** Forgets all queries without telling anyone, closes all sockets. */
  close(): void {
    for (const table of [this.#names, this.#services]) {
      for (const entry of table.values()) {
        entry.asked?.stop();
        entry.asked = null;
      }
      table.clear();
    }
    this.#servers.forEach((server) => server.close());
  }

  #query(key: string, type: QueryType): Query {
    const id = this.#env.randomId();
    return { type, id, message: encodeQuery(key, type, id), tcp: false, answered: false };
  }

  /** Sends what is not answered yet to the name server whose turn it is. */
  #send(asked: Asked): void {
    const server = this.#servers[asked.server];
    asked.servers.add(asked.server);
    for (const query of asked.queries) {
      if (!query.answered) {
        if (query.tcp) {
          server?.sendTcp(query.message);
        } else {
          server?.sendUdp(query.message);
        }
      }
    }
  }

  #armResend(entry: Entry, asked: Asked): void {
    asked.stop();
    asked.stop = this.#env.timers.after(RESEND_MS, () => {
      if (entry.waiting.size === 0) {
        this.#end(entry);
        return;
      }
      asked.moved = false;
      asked.server = (asked.server + 1) % this.#servers.length;
      this.#send(asked);
      this.#armResend(entry, asked);
    });
  }

  /** Takes an entry off the table. Out: who waited for it. */
  #end(entry: Entry): Waiter[] {
    const waiting = [...entry.waiting];
    entry.waiting.clear();
    for (const waiter of waiting) {
      waiter.entry = null;
    }
    entry.asked?.stop();
    entry.asked = null;
    (entry.service ? this.#services : this.#names).delete(entry.key);
    return waiting;
  }

  #onSocketError(server: NameServer, call: string, error: NodeJS.ErrnoException): void {
    this.#env.log('error', `${call} failed (${reason(error)}) while resolving, resolver: ${server.text}`);
    const index = this.#servers.indexOf(server);
    for (const table of [this.#names, this.#services]) {
      for (const entry of table.values()) {
        const asked = entry.asked;
        if (asked !== null && asked.server === index && !asked.moved) {
          asked.moved = true;
          asked.server = (index + 1) % this.#servers.length;
          this.#send(asked);
        }
      }
    }
  }

  #onMessage(server: NameServer, message: Buffer, tcp: boolean): void {
    try {
      this.#take(server, message, tcp);
    } catch (error) {
      if (!(error instanceof BadMessage)) {
        throw error;
      }
      this.#env.log('error', error.message);
    }
  }

  #take(server: NameServer, message: Buffer, tcp: boolean): void {
    const head = readHead(message, tcp);
    if (head.question === null) {
      this.#logError(head);
      return;
    }
    const { name, type } = head.question;
    const entry = (type === TYPE_SRV ? this.#services : this.#names).get(name);
    const asked = entry?.asked;
    const query = asked?.queries.find((candidate) => candidate.type === type);
    if (!entry || !asked || !query || query.answered || !asked.servers.has(this.#servers.indexOf(server))) {
      throw new BadMessage(`unexpected DNS response for ${name}`);
    }
    if (head.truncated && query.tcp) {
      return;
    }
    if (head.id !== query.id) {
      throw new BadMessage(`wrong ident ${head.id} in DNS response for ${name}, expect ${query.id}`);
    }
    if (head.truncated) {
      this.#retryTcp(entry, asked, query);
    } else if (type === TYPE_SRV) {
      this.#takeServices(entry, query, head, message);
    } else {
      this.#takeAddresses(entry, asked, query, head, message);
    }
  }

  /** FORMERR, which may come without the question, and unknown codes end nothing: they are easily forged. */
  #logError(head: AnswerHead): void {
    let place = '';
    if (head.code === 1) {
      for (const entry of this.#names.values()) {
        if (entry.asked?.queries.some((query) => query.id === head.id)) {
          place = `, name:"${entry.key}"`;
          break;
        }
      }
    }
    this.#env.log('error', `DNS error (${head.code}: ${failureText(head.code)}), query id:${head.id}${place}`);
  }

  #retryTcp(entry: Entry, asked: Asked, query: Query): void {
    if (entry.waiting.size === 0) {
      this.#end(entry);
      return;
    }
    query.tcp = true;
    this.#servers[asked.server]?.sendTcp(query.message);
    this.#armResend(entry, asked);
  }

  #takeAddresses(entry: Entry, asked: Asked, query: Query, head: AnswerHead, message: Buffer): void {
    const code = head.code || asked.code;
    const last = asked.queries.every((other) => other === query || other.answered);
    const section = code === 0 ? this.#read(head, message, query.type) : null;
    const found = section?.addresses ?? [];
    const total = entry.v4.length + entry.v6.length + found.length;
    const answers = head.question?.answers ?? 0;
    // The name is read before anything is noted: when it is broken, the query stays open and is sent again.
    const cname =
      last && total === 0 && section && section.cnameOffset >= 0 ? readName(message, section.cnameOffset) : null;
    query.answered = true;
    if (section !== null) {
      entry.ttlSec = Math.min(entry.ttlSec, section.ttlSec);
      if (query.type === TYPE_A) {
        entry.v4 = found.map((address) => ({ family: 4, address }));
      } else {
        entry.v6 = found.map((address) => ({ family: 6, address }));
      }
    }
    if (!last) {
      asked.code = code;
      return;
    }
    if (code !== 0 || (answers === 0 && total === 0)) {
      this.#fail(entry, code || 3);
    } else if (total > 0 || cname !== null) {
      // A CNAME counts only when it came last and nothing else did, in whatever order the answers arrive: as in nginx.
      entry.cname = cname;
      this.#env.onAnswer(entry, this.#end(entry));
    } else {
      this.#env.log('error', 'no A or CNAME types in DNS response');
    }
  }

  #takeServices(entry: Entry, query: Query, head: AnswerHead, message: Buffer): void {
    const code = head.code || (head.question?.answers === 0 ? 3 : 0);
    if (code !== 0) {
      this.#fail(entry, code);
      return;
    }
    const section = this.#read(head, message, query.type);
    entry.ttlSec = section.ttlSec;
    entry.targets = section.targets.sort((one, two) => one.priority - two.priority);
    if (entry.targets.length === 0) {
      if (section.cnameOffset < 0) {
        this.#env.log('error', 'no SRV type in DNS response');
        return;
      }
      entry.cname = readName(message, section.cnameOffset);
    }
    this.#env.onAnswer(entry, this.#end(entry));
  }

  #read(head: AnswerHead, message: Buffer, type: QueryType): AnswerSection {
    const { answers, offset } = head.question ?? { answers: 0, offset: 0 };
    const section = readAnswers(message, type, answers, offset);
    section.notes.forEach((note) => this.#env.log('error', note));
    return section;
  }

  #fail(entry: Entry, code: number): void {
    this.#env.onFailure(entry, isFailureCode(code) ? code : 2, this.#end(entry));
  }
}

/** In: an error of a socket. Out: `111: Connection refused`. */
function reason(error: NodeJS.ErrnoException): string {
  if (typeof error.errno !== 'number' || error.errno >= 0) {
    return error.message;
  }
  const text = getSystemErrorMessage(error.errno);
  return `${-error.errno}: ${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/**
 * Names in the configuration that are resolved when it is loaded, by the system (`getaddrinfo`: hosts file, DNS,
 * whatever the machine is set up for).
 */
import dns from 'node:dns';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { PeerAddress } from '../config/model.ts';
import { literalAddress } from './message.ts';
import type { ResolvedAddress } from './types.ts';

/** A name the system does not know. `message`: `host not found in upstream "example.com:8080"`. */
export class HostNotFound extends Error {
  readonly host: string;

  /** In: the host; the address as written in the configuration; the kind of statement it stands in. */
  constructor(host: string, written: string, place = 'upstream') {
    super(`host not found in ${place} "${written}"`);
    this.name = 'HostNotFound';
    this.host = host;
  }
}

/** Out: an address as logs and `$upstream_addr` show it. */
export function peerAddress(family: 4 | 6, host: string, port: number): PeerAddress {
  return { text: family === 6 ? `[${host}]:${port}` : `${host}:${port}`, family, host, port };
}

/** In: a host as written, IPv6 in brackets. Out: its address when it is a literal one, null for a name. */
export function literalPeer(host: string, port: number): PeerAddress | null {
  const literal = literalAddress(host);
  return literal === null ? null : peerAddress(literal.family, literal.address, port);
}

/**
 * In: a name or a literal address, a port. Out: all addresses in the order of the system (RFC 6724), or null when
 * there are none.
 */
export async function lookupHost(host: string, port: number): Promise<PeerAddress[] | null> {
  const literal = literalPeer(host, port);
  if (literal !== null) {
    return [literal];
  }
  try {
    // As nginx: only families that the machine has addresses of.
    return toPeers(await dns.promises.lookup(host, { all: true, order: 'verbatim', hints: dns.ADDRCONFIG }), port);
  } catch {
    return null;
  }
}

/**
 * The same for many names at one time and without returning to the event loop, for parsers that are synchronous.
 * The names are looked up by a thread of its own while this one waits.
 *
 * In: names; how long to wait for all, ms. Out: by name, the addresses or null.
 */
export function lookupHostsSync(hosts: string[], timeoutMs = 60_000): Map<string, ResolvedAddress[] | null> {
  const found = new Map<string, ResolvedAddress[] | null>();
  const names: string[] = [];
  for (const host of new Set(hosts)) {
    const literal = literalAddress(host);
    found.set(host, literal === null ? null : [literal]);
    if (literal === null) {
      names.push(host);
    }
  }
  if (names.length === 0) {
    return found;
  }
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(LOOKUP_THREAD, {
    eval: true,
    workerData: { names, signal, port: port2, hints: dns.ADDRCONFIG },
    transferList: [port2],
    execArgv: [],
  });
  worker.on('error', () => {});
  worker.unref();
  Atomics.wait(signal, 0, 0, timeoutMs);
  const answer = receiveMessageOnPort(port1) as { message: [string, dns.LookupAddress[] | null][] } | undefined;
  for (const [name, addresses] of answer?.message ?? []) {
    found.set(name, addresses?.map(({ family, address }) => ({ family: family === 6 ? 6 : 4, address })) ?? null);
  }
  port1.close();
  void worker.terminate();
  return found;
}

/** Plain JavaScript: it is not loaded from a file, so no loader gets to see it. */
const LOOKUP_THREAD = `
const { workerData } = require('node:worker_threads');
const dns = require('node:dns');
const { names, signal, port, hints } = workerData;
Promise.all(names.map((name) => dns.promises.lookup(name, { all: true, order: 'verbatim', hints })
  .then((addresses) => [name, addresses.length > 0 ? addresses : null], () => [name, null])))
  .then((answers) => {
    port.postMessage(answers);
    Atomics.store(signal, 0, 1);
    Atomics.notify(signal, 0);
  });
`;

function toPeers(addresses: dns.LookupAddress[], port: number): PeerAddress[] | null {
  const peers = addresses.map(({ family, address }) => peerAddress(family === 6 ? 6 : 4, address, port));
  return peers.length > 0 ? peers : null;
}

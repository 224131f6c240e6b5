/**
 * Are the addresses of a configuration free?
 *
 * Workers bind with SO_REUSEPORT, which lets another process of the same user (a second Headrace) share a port in
 * silence. So the main thread first binds each new address alone: without SO_REUSEPORT that fails as soon as
 * anyone listens there. The probe never listens, so no connection can end up with it.
 */
import { createSocket } from 'node:dgram';
import * as net from 'node:net';
import { lstatSync, unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, ListenConfig } from '../config/model.ts';
import { asError, failedText } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';

/** nginx: five tries, half a second apart, for an address in use. */
const TRIES = 5;
const RETRY_MS = 500;
/** For a unix socket that answers neither yes nor no. */
const CONNECT_MS = 1000;

/** All addresses of a configuration. */
export function listensOf({ http, stream }: Pick<Config, 'http' | 'stream'>): ListenConfig[] {
  return [...(http?.listens ?? []), ...(stream?.listens ?? [])];
}

type Listen = Pick<ListenConfig, 'address' | 'kind' | 'host' | 'port' | 'ipv6only'>;

/** @returns the error of binding alone, or null */
async function probeTcp({ host, port, ipv6only }: Listen): Promise<unknown> {
  const ipv6Only = host.includes(':') && ipv6only;
  // Not imported by its name: a Node that lacks it would refuse the whole module.
  const { BoundSocket } = net as Partial<typeof net>;
  if (BoundSocket !== undefined) {
    try {
      new BoundSocket({ host, port, ipv6Only }).close();
      return null;
    } catch (error) {
      return error;
    }
  }
  // Node before 24.13: it has to listen for a moment.
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', resolve);
    server.listen({ host, port, ipv6Only, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** An error as bind(2) gives it for a path that exists. */
function inUse(): Error {
  return Object.assign(new Error('address in use'), { code: 'EADDRINUSE', errno: -98 });
}

/**
 * A socket file that nobody listens on is what a crash left: it is removed, where nginx would fail until someone does
 * it by hand.
 */
async function probeUnix({ host: path }: Listen): Promise<unknown> {
  try {
    if (!lstatSync(path).isSocket()) return inUse();
  } catch (error) {
    return asError(error).code === 'ENOENT' ? null : error;
  }
  const refused = await new Promise<boolean>((resolve) => {
    const socket = net.connect({ path });
    const timer = setTimeout(done, CONNECT_MS, false);
    function done(answer: boolean): void {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    }
    socket.once('connect', () => done(false));
    socket.once('error', (error) => done(asError(error).code === 'ECONNREFUSED'));
  });
  if (!refused) return inUse();
  try {
    unlinkSync(path);
    return null;
  } catch (error) {
    return error;
  }
}

/** @returns the error of binding alone, or null */
function probeUdp({ host, port, ipv6only }: Listen): Promise<unknown> {
  return new Promise((resolve) => {
    const v6 = host.includes(':');
    const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6 && ipv6only });
    socket.once('error', (error) => socket.close(() => resolve(error)));
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(null)));
  });
}

function probe(listen: Listen): Promise<unknown> {
  if (listen.kind === 'udp') return probeUdp(listen);
  return listen.kind === 'unix' ? probeUnix(listen) : probeTcp(listen);
}

/**
 * Addresses of `listens` that this process does not hold yet and that can be probed. One whose port is held on another
 * address (`*:80` beside `127.0.0.1:80`) cannot: the probe would meet ourselves.
 *
 * @param held what the running configuration listens on
 */
export function newAddresses<T extends Listen>(listens: readonly T[], held: readonly Listen[]): T[] {
  const addresses = new Set(held.map(({ kind, address }) => `${kind} ${address}`));
  const ports = new Set(held.map(({ kind, port }) => `${kind} ${port}`));
  return listens.filter(
    ({ kind, address, port }) =>
      !addresses.has(`${kind} ${address}`) && (kind === 'unix' || !ports.has(`${kind} ${port}`)),
  );
}

/**
 * What `-t` looks at: addresses that can never be bound. That another process holds one is no mistake in the file.
 *
 * @returns errors in nginx's words
 */
export async function checkAddresses(listens: readonly Listen[]): Promise<string[]> {
  const failures: string[] = [];
  for (const listen of listens) {
    if (listen.kind === 'unix') continue;
    const error = await probe(listen);
    if (error !== null && asError(error).code !== 'EADDRINUSE') {
      failures.push(failedText(`bind() to ${listen.address}`, error));
    }
  }
  return failures;
}

/**
 * Waits, for a while, until all addresses are free; each failure is logged as nginx does.
 *
 * @param signal ends the wait early
 * @returns false when they cannot be had: the log says why
 */
export async function claimAddresses(listens: readonly Listen[], log: ErrorLog, signal: AbortSignal): Promise<boolean> {
  for (let tries = TRIES; tries > 0; tries--) {
    let busy = false;
    for (const listen of listens) {
      const error = await probe(listen);
      if (error === null) continue;
      log.emerg(failedText(`bind() to ${listen.address}`, error));
      if (asError(error).code !== 'EADDRINUSE') return false;
      busy = true;
    }
    if (!busy) return true;
    log.notice(`try again to bind() after ${RETRY_MS}ms`);
    await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) return false;
  }
  log.emerg('still could not bind()');
  return false;
}

/** Removes the files of unix sockets that are no longer listened on. */
export function removeSockets(listens: readonly Listen[]): void {
  for (const { kind, host } of listens) {
    if (kind !== 'unix') continue;
    try {
      unlinkSync(host);
    } catch {
      // Closing the socket may have removed it already.
    }
  }
}
